"""Twenty runs whose streams close, fill up or lose their reader: all are saved and end in order."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX shells and signals"),
]

WORDS = [
    *(sys.executable, "-m", "lmkit", "train", "--recipe=reconstruction-quick", "--device=cpu"),
    *("--batch-size=4", "--landmarks=3", "--image-size=32", "--set=detector.features=8"),
    *("--set=detector.depth=1", "--set=generator.width=4", "--set=generator.blocks=1"),
    *("--set=data.count=24", "--set=run.log_every=1"),
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

PATIENCE = 300  # seconds, on a machine that has much else to do

STREAMS = [
    "2>&1 | tee log",
    "2>&1 | head -1",
    "2>&1 | head -c 1",
    "| head -1",
    "2>&1 | true",
    ">&- 2>&-",
    "2>&-",
    ">/dev/full 2>&1",
    "2>/dev/full",
    "--json 2>/dev/full | head -c 1",
]
"""What becomes of stdout and stderr; each is tried with a run that finishes and one that is
interrupted."""


def pipeline(words, streams, folder):
    """Start a shell's pipeline whose processes are a group of their own, as on a terminal."""
    if "/dev/full" in streams and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = f"{shlex.join(words)} {streams}"
    return subprocess.Popen(
        ["bash", "-c", f"cd {folder}; set -m; {line}; exit ${{PIPESTATUS[0]}}"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_if_typed,
    )


def as_if_typed():
    """Undo what a test runner's parent may have told its children to ignore."""
    for each in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(each, signal.SIG_DFL)


def saved(out):
    """Return how a run says that it stands, once its checkpoint of that step is there."""
    status = json.loads((out / "status.json").read_text())
    assert (out / "checkpoints" / f"step-{status['step']}" / "state.json").exists()
    return status


@pytest.mark.parametrize("streams", STREAMS)
def test_a_run_finishes(streams, tmp_path):
    process = pipeline([*WORDS, "--steps=3", "--out", str(tmp_path / "run")], streams, tmp_path)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    status = saved(tmp_path / "run")
    assert (status["state"], status["step"]) == ("finished", 3)


@pytest.mark.parametrize("number", range(len(STREAMS)), ids=STREAMS)
def test_an_interrupted_run_is_saved(number, tmp_path):
    wanted = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP][number % 3]
    out = tmp_path / "run"
    process = pipeline([*WORDS, "--steps=100000", "--out", str(out)], STREAMS[number], tmp_path)
    try:
        wait_for(out / "metrics.jsonl", process)
        for group in groups_below(process.pid):
            os.killpg(group, wanted)
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        # Nothing is left to train for ever where the test has failed.
        for group in groups_below(process.pid):
            os.killpg(group, signal.SIGKILL)
        process.kill()
    assert process.returncode == 128 + wanted, told
    assert "Traceback" not in told
    assert saved(out)["state"] == "stopped"


def wait_for(file, process):
    """Wait until a run has written something."""
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def groups_below(pid):
    """Return the process groups of a shell's jobs."""
    listed = subprocess.run(
        ["ps", "-o", "pgid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return {int(word) for word in listed.stdout.split()} - {os.getpgid(0)}
