"""A run's folder belongs to one process at a time."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.run.owner import LOCK, OWNER, owned
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume

HOLD = """
import sys, time
from pathlib import Path
from lmkit.run.owner import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_another_process_is_told_who_trains_and_where(holder, tmp_path):
    with pytest.raises(LmkitError) as caught, owned(tmp_path):
        raise AssertionError("both have it")
    assert caught.value.code == ExitCode.RUN
    assert f"process {holder.pid} on {socket.gethostname()}, since 20" in caught.value.problem


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_the_folder_of_a_killed_process_is_free(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / OWNER).read_text())["process"] == holder.pid
    with owned(tmp_path):
        assert json.loads((tmp_path / OWNER).read_text())["process"] == os.getpid()
    assert not (tmp_path / OWNER).exists()


@pytest.mark.parametrize("record", ["", "[]", "{", '{"process": "many"}', '{"process": 1e400}'])
def test_a_damaged_record_of_an_owner_is_no_obstacle(record, tmp_path):
    (tmp_path / OWNER).write_text(record)
    with owned(tmp_path):
        pass


def test_where_there_are_no_locks_a_run_goes_on(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with owned(tmp_path), owned(tmp_path):
        pass


def test_a_run_that_trains_cannot_be_resumed_beside_it(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    more = read_assignments(["run.steps=6"])
    with owned(run):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        with pytest.raises(LmkitError, match="is being trained by process"):
            resume(run, [more])
        assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = []
    thread = threading.Thread(target=lambda: ended.append(resume(run, [more])[1].step))
    thread.start()
    thread.join()
    assert ended == [6]
    assert {path.name for path in run.iterdir() if path.name.startswith(".")} <= {LOCK}
