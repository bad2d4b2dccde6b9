"""A run goes on and saves itself whatever becomes of the streams that it tells of itself on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX shells and signals")

WORDS = [
    *(sys.executable, "-m", "lmkit", "train", "--recipe=reconstruction-quick", "--device=cpu"),
    *("--batch-size=4", "--landmarks=3", "--image-size=32", "--set=detector.features=8"),
    *("--set=detector.depth=1", "--set=generator.width=4", "--set=generator.blocks=1"),
    *("--set=data.count=24", "--set=run.log_every=1"),
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def shell(words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["bash", "-c", words], env=ENVIRONMENT, check=False, **options)


@pytest.mark.parametrize(
    "streams",
    ["2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>&1", "2>&1 | true", "2>&1 | head -1"],
)
def test_a_run_finishes_where_nobody_listens(streams, tmp_path):
    if "/dev/full" in streams and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    out = tmp_path / "run"
    line = f"{shlex.join([*WORDS, '--steps=3', '--out', str(out)])} {streams}"
    done = shell(f"{line}; exit ${{PIPESTATUS[0]}}", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 3)


@pytest.mark.parametrize("streams", ["2>&1 | tee log", "2>&1 | head -1", "2>/dev/null"])
def test_ctrl_c_on_a_pipeline_saves_the_run(streams, tmp_path):
    out = tmp_path / "run"
    line = f"{shlex.join([*WORDS, '--steps=100000', '--out', str(out)])} {streams}"
    process = subprocess.Popen(
        ["bash", "-c", f"cd {tmp_path}; set -m; {line}; exit ${{PIPESTATUS[0]}}"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_if_typed,
    )
    metrics = out / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)
    # What a terminal does: every process of the pipeline gets it, and tee dies of it.
    for group in _groups_below(process.pid):
        os.killpg(group, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "stopped"
    assert (out / "checkpoints" / f"step-{status['step']}" / "state.json").exists()


def _as_if_typed() -> None:
    """Undo what a test runner's parent may have told its children to ignore."""
    for each in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(each, signal.SIG_DFL)


def _groups_below(pid: int) -> set[int]:
    """Return the process groups of a shell's jobs."""
    listed = subprocess.run(
        ["ps", "-o", "pgid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return {int(word) for word in listed.stdout.split()} - {os.getpgid(0)}
