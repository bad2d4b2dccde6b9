"""Worker processes that are not forked: they end when told, and scripts without a guard hear it."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from lmkit.data.starting import refuse_rerun
from lmkit.errors import LmkitError

METHODS = [
    each for each in ("spawn", "forkserver") if each in multiprocessing.get_all_start_methods()
]
LONGEST = 60
"""Seconds that a script may take before it counts as one that hangs; it takes a few."""


def run_script(folder: Path, method: str, *lines: str) -> "subprocess.CompletedProcess[str]":
    script = folder / "mine.py"
    start = f"multiprocessing.set_start_method({method!r}, force=True)"
    script.write_text("\n".join(("import multiprocessing", start, *lines, "")))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        out, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("it hangs")
    return subprocess.CompletedProcess(script, process.returncode, out, err)


@pytest.mark.parametrize("method", METHODS)
def test_workers_of_a_script_with_a_guard_read_and_end_with_it(tmp_path, method):
    """The loader is still open at the end: its worker ends by the main process's SIGTERM."""
    done = run_script(
        tmp_path,
        method,
        "from lmkit.data.workers import read_ahead",
        'if __name__ == "__main__":',
        "    results = read_ahead(abs, [-1, *range(99)], 1)",
        "    print(next(results))",
        "    raise SystemExit(5)",
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "1\n", "")


@pytest.mark.parametrize("method", METHODS)
def test_a_script_without_a_guard_is_told_once(tmp_path, method):
    done = run_script(
        tmp_path,
        method,
        "from lmkit.data.workers import read_ahead",
        "print(list(read_ahead(abs, [-1, -2, -3], 2)))",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("mine.py uses lmkit without the line") == 1
    assert 'Put `if __name__ == "__main__":` before' in done.stderr
    assert "Errno" not in done.stderr


def test_training_without_a_guard_does_not_wait_for_itself(tmp_path):
    """The first process holds the cache's lock, which those that run the script again wait for."""
    settings = {
        "run": {"steps": 1, "image_size": 32, "batch_size": 4, "device": "cpu"},
        "loading": {"cache": str(tmp_path / "cache"), "workers": 1},
    }
    done = run_script(
        tmp_path,
        METHODS[-1],
        "from pathlib import Path",
        "from PIL import Image",
        "import lmkit",
        "folder = Path('photos')",
        "folder.mkdir(exist_ok=True)",
        "for i in range(8):",
        "    Image.new('RGB', (24, 24), (i, 40, 90)).save(folder / f'{i}.png')",
        f"lmkit.train(data='photos', out='run', recipe='quickstart', settings={settings!r})",
    )
    assert done.returncode == 1
    assert done.stderr.count("mine.py uses lmkit without the line") == 1
    assert not (tmp_path / "run").exists()


def test_processes_of_others_get_the_message(monkeypatch):
    refuse_rerun()
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(LmkitError, match="without the line"):
        refuse_rerun()
