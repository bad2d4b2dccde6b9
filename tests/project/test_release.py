"""A release: its tag, its text, and an sdist that is the whole checkout."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import lmkit

ROOT = Path(__file__).parents[2]
CHANGELOG = """# Changelog

## [Unreleased]

### Added
- Not yet.

## [1.2.0] - 2027-01-02

### Added
- A thing, with `code`.

## [1.1.0] - 2026-11-30

- The first.
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout of a version 1.2.0, with the files that say so."""
    (tmp_path / "lmkit").mkdir()
    (tmp_path / "lmkit" / "__init__.py").write_text('"""It."""\n\n__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "release_notes.py", tmp_path / ".ci")
    return tmp_path


def notes(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, checkout / ".ci" / "release_notes.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_text_of_a_release_is_its_section_alone(checkout):
    done = notes(checkout, "v1.2.0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "### Added\n- A thing, with `code`.\n"


def test_the_last_section_ends_with_the_file(checkout):
    for name in ("lmkit/__init__.py", "CITATION.cff"):
        file = checkout / name
        file.write_text(file.read_text().replace("1.2.0", "1.1.0"))
    assert notes(checkout, "v1.1.0").stdout == "- The first.\n"


@pytest.mark.parametrize(
    ("tag", "name", "old", "new", "problem"),
    [
        ("v1.3.0", "", "", "", "lmkit/__init__.py has version 1.2.0, the tag is v1.3.0."),
        ("1.2.0", "", "", "", "lmkit/__init__.py has version 1.2.0, the tag is 1.2.0."),
        (
            "v1.2.0",
            "CITATION.cff",
            "\nversion: 1.2.0",
            "\nversion: 1.1.0",
            "CITATION.cff has version 1.1.0, the tag is v1.2.0.",
        ),
        (
            "v1.2.0",
            "CHANGELOG.md",
            "## [1.2.0] - 2027-01-02\n",
            "## [1.2.0]\n",
            "CHANGELOG.md has no section '## [1.2.0] - YYYY-MM-DD'.",
        ),
        (
            "v1.2.0",
            "CHANGELOG.md",
            "### Added\n- A thing, with `code`.\n",
            "",
            "CHANGELOG.md says nothing of 1.2.0.",
        ),
    ],
)
def test_what_does_not_agree_is_refused(checkout, tag, name, old, new, problem):
    if name:
        file = checkout / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    done = notes(checkout, tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {problem}\n"


def test_the_versions_of_this_checkout_agree():
    done = notes(ROOT, f"v{lmkit.__version__}")
    # Between two releases the section is yet to be written.
    assert done.stdout or done.stderr.startswith("Error: CHANGELOG.md has no section")


def test_the_sdist_is_the_whole_checkout(tmp_path):
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no clone")
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    for name in files:
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "copy" / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('../out')"
    subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path / "copy", capture_output=True, check=True
    )
    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as packed:
        found = {each.name.partition("/")[2] for each in packed.getmembers() if each.isfile()}
    made = {name for name in found if name.startswith("lmkit.egg-info/")}
    assert found - made - {"PKG-INFO", "setup.cfg"} == files
