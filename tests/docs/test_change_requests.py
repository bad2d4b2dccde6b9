"""One change, one file: each is made in a copy of the tree, in the file that the docs name.

A test here takes the fixture ``tree``, changes or adds one file of the copy, runs the copy as a
user would, and ends with ``assert tree.changed() == [file_for("what the docs call it")]``.
"""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("lmkit", "plugins")
"""What is copied, beside the pyproject.toml that names the plugins: all that a run imports."""

SMALL = [
    *("--recipe", "quickstart", "--device", "cpu", "--image-size", "32", "--batch-size", "4"),
    *("--set", "data.count=24", "--set", "run.log_every=1", "--set", "run.sheet_every=0"),
    *("--set", "detector.features=8", "--set", "detector.depth=1", "--set", "generator.width=4"),
]
"""``lmkit train`` so that a step takes a moment."""


def file_for(change: str) -> str:
    """Return the file that docs/architecture.md names for a change."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## One change, one file\n")[2].partition("\n## ")[0]
    files: dict[str, str] = dict(re.findall(r"^\| (.+?) \| `([^`]+)`", table, re.M))
    return files[change]


@dataclass(frozen=True)
class Tree:
    """A copy of the code, to be changed and run."""

    root: Path

    def replace(self, file: str, before: str, after: str) -> None:
        """Exchange a passage that stands in a file exactly once."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{file} has {text.count(before)} times: {before}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def add(self, file: str, text: str) -> None:
        """Write a file that is not there yet."""
        path = self.root / file
        assert not path.exists(), f"{file} is there"
        path.write_text(text, encoding="utf-8")

    def changed(self) -> list[str]:
        """Return the files that are not as they were, or that were not there."""
        files = (file for part in PARTS for file in (self.root / part).rglob("*") if file.is_file())
        names = [file.relative_to(self.root) for file in files if "__pycache__" not in file.parts]
        _, differing, missing = filecmp.cmpfiles(ROOT, self.root, names, shallow=False)
        return sorted(Path(name).as_posix() for name in (*differing, *missing))

    def python(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy's lmkit, in a process of its own.

        Args:
            arguments: Of Python: ``-c`` and a program, ``-m lmkit`` and a command.
            code: The exit status that is expected.
        """
        path = os.pathsep.join(str(self.root / part) for part in ("", "plugins"))
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def lmkit(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of the copy's lmkit."""
        return self.python("-m", "lmkit", *arguments, code=code)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Copy the code, without what Python left beside it."""
    root = tmp_path / "tree"
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return Tree(root)


def metrics_of(run: Path) -> list[dict[str, float]]:
    """Return what a run wrote of its steps."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_copy_is_what_runs_and_is_unchanged(tree):
    where = "import lmkit, lmkit_interintra; print(lmkit.__file__, lmkit_interintra.__file__)"
    files = tree.python("-c", where).stdout.split()
    assert all(Path(file).is_relative_to(tree.root) for file in files)
    assert tree.changed() == []


def test_a_schedule_is_an_entry_of_one_table(tree, tmp_path):
    file = file_for("a learning-rate schedule")
    tree.replace(
        file,
        '    "cosine": Schedule(',
        '    "inverse": Schedule("divided by the number of the step", lambda n, _: 1 / (n + 1)),\n'
        '    "cosine": Schedule(',
    )
    run = tmp_path / "run"
    chosen = ("--set", "optimizer.schedule=inverse", "--set", "optimizer.learning_rate=0.01")
    tree.lmkit("train", *SMALL, "--steps", "2", *chosen, "--out", run)
    rates = [line["learning_rate"] for line in metrics_of(run)]
    assert rates == pytest.approx([0.01, 0.005])
    refused = tree.lmkit("train", *SMALL, "--set", "optimizer.schedule=invers", code=2)
    assert "Did you mean 'inverse'?" in refused.stderr
    assert tree.changed() == [file]
