"""Trains in processes that are killed at random times, until so many kills are done.

Run as a program by test_kills.py: everything is imported once, and each training is a fork. A run
that ends is compared with one that was never killed, bit for bit; another begins in its place.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from lmkit.errors import LmkitError
from lmkit.registry.lookup import installed
from lmkit.settings.layers import Layer, read_assignments, read_recipe
from lmkit.settings.settings import Settings, settle
from lmkit.training.session import resume, start

STEPS = 12
SETTINGS = (
    *("run.device=cpu", "run.batch_size=4", "run.landmarks=3", "run.image_size=32"),
    *(f"run.steps={STEPS}", "run.checkpoint_every=2", "run.log_every=3", "run.sheet_every=0"),
    *("detector.features=8", "detector.depth=1", "generator.width=4", "generator.blocks=1"),
    *("data.count=24", "loading.cache=none"),
)
TIMES = {"images_per_second", "data_wait"}


def settings() -> Settings:
    """Return the settings of a run that trains within seconds."""
    registry = installed()
    layers: list[Layer] = [*read_recipe("reconstruction-quick", registry)]
    return settle([*layers, read_assignments(SETTINGS)], registry)


def train(out: Path) -> None:
    """Begin a run, or go on with it: what a user does, or a scheduler."""
    torch.set_num_threads(1)
    if (out / "run.json").exists():
        resume(out)
    else:
        # A kill before there was a run may leave an empty folder's beginnings.
        shutil.rmtree(out, ignore_errors=True)
        start(settings(), out)


def content(out: Path) -> tuple[dict[str, bytes], list[dict[str, object]]]:
    """Return the tensors of a finished run and its metrics without what a clock measured."""
    tensors = {}
    for file in sorted((out / "checkpoints" / f"step-{STEPS}").glob("*.safetensors")):
        for key, value in load_file(file).items():
            tensors[f"{file.name}/{key}"] = value.numpy().tobytes()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return tensors, [{key: line[key] for key in line if key not in TIMES} for line in lines]


def in_fork(work: Callable[[Path], None], out: Path, seconds: float | None) -> int | None:
    """Do work in a process; kill it after some seconds. Return its exit code, None if killed."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(out,))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return None if process.exitcode == -signal.SIGKILL else process.exitcode
    return process.exitcode


def main(folder: Path, wanted: int, seed: int) -> dict[str, object]:
    """Kill until ``wanted`` kills are done, finish the last run, and say what was found."""
    draw = random.Random(seed)
    began = time.monotonic()
    assert in_fork(train, folder / "whole", None) == 0
    longest = time.monotonic() - began
    expected = content(folder / "whole")
    kills = finished = equal = 0
    failures: list[str] = []
    out = folder / "killed"
    while kills < wanted or out.exists():
        seconds = draw.uniform(0, longest) if kills < wanted else None
        code = in_fork(train, out, seconds)
        if code is None:
            kills += 1
        elif code == 0:
            finished += 1
            found = content(out)
            equal += found == expected
            if found != expected:
                failures.append(f"after {kills} kills a finished run differs")
            shutil.rmtree(out)
        else:
            failures.append(f"after {kills} kills a process ended with {code}")
            break
    return {"kills": kills, "finished": finished, "equal": equal, "failures": failures}


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
    except LmkitError as error:
        sys.exit(f"{error.problem} {error.remedy}")
