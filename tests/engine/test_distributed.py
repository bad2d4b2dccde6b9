"""Several processes train one model: in real processes that talk by gloo on this machine."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmkit.config import read_assignments
from lmkit.training import resume, start

torchrun = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
HERE = Path(__file__).parent
TINY = (
    *("--recipe=quickstart", "--device=cpu", "--batch-size=4", "--landmarks=3", "--image-size=32"),
    *("--set=detector.features=8", "--set=detector.depth=1", "--set=generator.width=4"),
    *("--set=generator.blocks=1", "--set=data.count=24", "--set=run.log_every=1"),
)


def environment(**more):
    """The environment of a process that imports what this one does, on one thread."""
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def side_by_side(script, *arguments):
    """Run a script in two processes, as torchrun would start them, and return what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            env=environment(**common, LOCAL_WORLD_SIZE="2", RANK=rank, LOCAL_RANK=rank),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        ends = [(*process.communicate(timeout=300), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for out, err, code in ends:
        assert code == 0, f"{out}\n{err}"
    return ends


def by_torchrun(*arguments):
    """Begin ``torchrun ... -m lmkit train`` with two processes."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "lmkit", *map(str, arguments)],
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, words):
    heard = []
    for line in process.stdout:
        heard.append(line)
        if words in line:
            return "".join(heard)
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


@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one_and_resume_both_ways(tiny, tmp_path):
    one = ("run.log_every=1", "run.checkpoint_every=1", "run.keep=9", "run.steps=3")
    start(tiny(*one), tmp_path / "one")
    start(tiny(*one, "run.steps=1"), tmp_path / "one-two")
    side_by_side(HERE / "two_processes.py", tmp_path)

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
    shutil.rmtree(tmp_path / "two")
