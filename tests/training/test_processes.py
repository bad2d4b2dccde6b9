"""Several processes train one model: in real processes that talk by gloo on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmkit.errors import ExitCode, LmkitError
from lmkit.runtime.device import choose_device
from lmkit.runtime.launch import Place, place
from lmkit.settings.layers import read_assignments
from lmkit.training.processes import together
from lmkit.training.session import resume, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
HERE = Path(__file__).parent
TINY = (
    *(
        "--recipe=reconstruction-quick",
        "--device=cpu",
        "--batch-size=4",
        "--landmarks=3",
        "--image-size=32",
    ),
    *("--set=detector.features=8", "--set=detector.depth=1", "--set=generator.width=4"),
    *("--set=generator.blocks=1", "--set=data.count=24", "--set=run.log_every=1"),
)


def environment(**more):
    """The environment of a process that imports what this one does, on one thread."""
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def begin(*command):
    """Start a Python command in two processes, with the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=environment(**common, LOCAL_WORLD_SIZE="2", RANK=rank, LOCAL_RANK=rank),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]


def finish(processes):
    """Wait for both, and return their exit codes and what each said on stderr."""
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def wait_for(process, words):
    """Read what a process says until it says the words."""
    heard = []
    for line in process.stderr:
        heard.append(line)
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}: {''.join(heard)}")


def tensors(out, step):
    found = {}
    for file in sorted((out / "checkpoints" / f"step-{step}").glob("*.safetensors")):
        found |= {f"{file.name}/{key}": value for key, value in load_file(file).items()}
    return found


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def apart(found, wanted, *, only):
    """How far tensors are apart: the norm of their difference, as a share of their own."""
    assert found.keys() == wanted.keys()
    keys = [key for key in found if only in key]
    first, second = (
        torch.cat([tensors[key].double().flatten() for key in keys]) for tensors in (found, wanted)
    )
    return ((first - second).norm() / second.norm()).item()


def status(out):
    return json.loads((out / "status.json").read_text())


def test_two_processes_equal_one_and_resume_both_ways(tiny, tmp_path):
    one = ("run.log_every=1", "run.checkpoint_every=1", "run.keep=9", "run.steps=3")
    start(tiny(*one), tmp_path / "one")
    start(tiny(*one, "run.steps=1"), tmp_path / "one-two")
    codes, said = finish(begin(HERE / "two_processes.py", tmp_path))
    assert codes == [0, 0], said

    # After one update the optimiser's first moment is the gradient itself, scaled. The weights are
    # no measure: Adam's first update is a sign, whatever the gradient's size.
    first, other = tensors(tmp_path / "two", 1), tensors(tmp_path / "one", 1)
    assert apart(first, other, only="exp_avg") < 1e-4
    assert apart(first, other, only="running_") < 1e-5
    for line, other in zip(metrics(tmp_path / "two"), metrics(tmp_path / "one"), strict=True):
        assert line.keys() == other.keys()
        for name in ("loss", "loss/mse", "landmarks/spread"):
            assert line[name] == pytest.approx(other[name], rel=2e-3)
    assert metrics(tmp_path / "two")[0]["device"].startswith("2 x CPU")

    # From one process to two, and from two to one, are the same steps again.
    resume(tmp_path / "two-one", [read_assignments(["run.steps=3"])])
    for name in ("one-two", "two-one"):
        for line, other in zip(metrics(tmp_path / name), metrics(tmp_path / "one"), strict=True):
            assert line["loss"] == pytest.approx(other["loss"], rel=2e-3)
    for name, count in (("one", 1), ("two", 2), ("one-two", 2), ("two-one", 1)):
        for file in ("run.json", "status.json"):
            assert json.loads((tmp_path / name / file).read_text())["processes"] == count


def test_a_signal_to_one_stops_both_and_a_killed_one_ends_the_other(tmp_path):
    out = tmp_path / "run"
    processes = begin("-m", "lmkit", "train", *TINY, "--steps=2000", "--out", out)
    wait_for(processes[0], "step 2/")
    # More than once, as where a scheduler tells every process, and torchrun tells its own again.
    for _ in range(3):
        processes[1].send_signal(signal.SIGTERM)
        time.sleep(0.05)
    codes, said = finish(processes)
    assert codes == [ExitCode.TERMINATED] * 2, said
    assert "Stopped at step" in said[0]
    assert said[1] == ""
    stopped = status(out)
    assert (stopped["state"], stopped["processes"]) == ("stopped", 2)
    saved = out / "checkpoints" / f"step-{stopped['step']}" / "state.json"
    assert saved.is_file()

    processes = begin("-m", "lmkit", "train", "--resume", out)
    wait_for(processes[0], f"step {stopped['step'] + 2}/")
    began = time.monotonic()
    processes[1].kill()
    codes, said = finish(processes)
    assert time.monotonic() - began < 60
    assert codes == [ExitCode.LOST, -signal.SIGKILL]
    assert "Error: Process 0 of 2 has lost another one, which was killed or cut off" in said[0]
    assert (status(out)["state"], status(out)["step"]) == ("failed", stopped["step"])
    assert saved.is_file()


def test_the_one_that_fails_says_why_and_the_other_ends_in_silence(tmp_path):
    script = tmp_path / "failing.py"
    script.write_text(
        "import os, sys\n"
        "from lmkit.cli.main import main\n"
        "from lmkit_interintra.losses import MeanSquaredError as Loss\n"
        "honest = Loss.forward\n"
        "def forward(self, step):\n"
        "    assert step.number < 2 or os.environ['RANK'] == '0', 'out of luck'\n"
        "    return honest(self, step)\n"
        "Loss.forward = forward\n"
        "main(sys.argv[1:])\n"
    )
    codes, said = finish(begin(script, "train", *TINY, "--steps=9", "--out", tmp_path / "run"))
    assert codes == [ExitCode.PLUGIN] * 2, said
    assert said[1].startswith("Error: The loss 'mse' failed: AssertionError: out of luck (")
    assert "Error:" not in said[0]
    assert "Process 1 of 2 failed: The loss 'mse' failed" in status(tmp_path / "run")["note"]


def test_what_is_refused_at_once_is_said_once(tmp_path):
    codes, said = finish(begin("-m", "lmkit", "evaluate", tmp_path))
    assert codes == [ExitCode.USAGE] * 2
    assert "Error: lmkit evaluate is done by one process, and torchrun has started 2." in said[0]
    assert said[1] == ""


@pytest.fixture
def launched(monkeypatch):
    """Pretend to be the second of four processes, two of them on this machine."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    for name, value in zip(names, ("1", "4", "1", "2", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    return monkeypatch


def test_the_variables_of_torchrun_are_read(launched):
    assert place() == Place(rank=1, world=4, local_rank=1, local_world=2)
    assert not place().is_first
    launched.setenv("RANK", "one")
    launched.delenv("MASTER_ADDR")
    with pytest.raises(LmkitError, match="WORLD_SIZE is 4, but RANK, MASTER_ADDR"):
        place()
    launched.delenv("WORLD_SIZE")
    assert place() == Place()
    assert place().is_first


def test_who_cannot_meet_says_where_and_what_to_do(launched):
    launched.setenv("RANK", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        launched.setenv("MASTER_PORT", str(port))
        with (
            pytest.raises(LmkitError, match=f"could not meet at 127.0.0.1:{port}: ") as caught,
            together(),
        ):
            pass
    assert caught.value.code == ExitCode.LOST
    assert "--standalone" in caught.value.remedy


def test_each_process_takes_a_gpu_of_its_own(launched):
    gpus = 2
    launched.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    launched.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("cuda:0", "mps"):
        with pytest.raises(LmkitError, match="is one device, and 2 processes"):
            choose_device(name)
    gpus = 1
    with pytest.raises(LmkitError, match="2 processes were started on a machine with 1 GPU"):
        choose_device("auto")
    gpus = 0
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(LmkitError, match="there is no such device"):
        choose_device("cuda")
