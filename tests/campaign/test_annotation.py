"""Hostile files of annotation: whatever they hold, they are read or refused, and never waited for.

Each of many mutated files must end in one of two ways: the reader refuses it with an error that
names it and says what to do, or it reads it, and then every image can be asked for, with points
that are finite or not known and lie within what is believed.
"""

import random
import re
import runpy
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lmkit.data.sets.lists import FURTHEST
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset

_TOOLS = runpy.run_path(str(Path(__file__).with_name("mutations.py")))
FORMATS, lay_out, mutate = (_TOOLS[name] for name in ("FORMATS", "lay_out", "mutate"))

SECONDS = 10
"""How long one file may take, on a busy machine."""
MEMORY = 4 * 2**30
"""How much memory this process may come to, in bytes."""


def end(name: str, path: Path) -> str:
    """Read a data set as training would, and return how that ended; any other end is a fault."""
    try:
        dataset = FORMATS[name][1](path)
        look(dataset)
    except LmkitError as error:
        refusal = error
    else:
        return "read"
    assert refusal.code in (ExitCode.DATA, ExitCode.USAGE)
    assert refusal.remedy
    assert len(refusal.problem) < 2000
    # It can be printed wherever UTF-8 can.
    str(refusal).encode("utf-8")
    return "refused"


def look(dataset: Dataset) -> None:
    """Ask for everything that training asks for."""
    problems = find_unreadable(dataset)
    unreadable = Unreadable(0.05)
    keys = [dataset.key(index) for index in range(len(dataset))]
    assert len(set(keys)) == len(keys)
    for note in dataset.notes:
        note.encode("utf-8")
        assert "\n" not in note
    for index in range(len(dataset)):
        points = dataset.annotation(index).points
        dataset.group(index)
        dataset.stamp(index)
        if index in problems:
            assert points is None
            unreadable.add(keys[index], problems[index])
            continue
        if points is not None:
            assert points.shape == (len(dataset.point_names), 2)
            known = points[np.isfinite(points).all(axis=1)]
            assert np.isnan(points).any() or len(known) == len(points)
            assert np.abs(known).max(initial=0) <= 2 * FURTHEST
        try:
            image = dataset.image(index)
        except OSError as error:
            unreadable.add(keys[index], str(error))
        else:
            assert image.ndim == 3
            assert image.size < 10**9
    unreadable.check(len(dataset), all_read=True)


def attack(name: str, root: Path, trials: int, seed: int) -> Counter[str]:
    """Mutate a format's file many times; return how often each end was met."""
    path = lay_out(name, root)
    whole = path.read_bytes()
    assert end(name, path) == "read"
    ends: Counter[str] = Counter()
    for trial in range(trials):
        draw = random.Random(f"{seed} {name} {trial}")
        content = mutate(whole, draw)
        path.write_bytes(content)
        start = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                ends[end(name, path)] += 1
        except Exception as error:
            kept = root / f"fault-{trial}"
            kept.write_bytes(content)
            raise AssertionError(f"{name}, trial {trial}, kept as {kept}") from error
        assert time.monotonic() - start < SECONDS, f"{name}, trial {trial}"
    assert peak() < MEMORY
    return ends


def peak() -> int:
    """Return the most memory that this process has had, in bytes; 0 where that is not known."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return 1024 * int(found[1]) if found else 0


@pytest.mark.parametrize("name", FORMATS)
def test_some_mutated_files_are_read_or_refused(name, tmp_path):
    ends = attack(name, tmp_path, 12, seed=1)
    assert sum(ends.values()) == 12


@pytest.mark.campaign
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files_are_read_or_refused(name, tmp_path):
    # Other files on each day would make a failure hard to find again.
    ends = attack(name, tmp_path, 300, seed=zlib.crc32(name.encode()))
    assert ends["read"]
    assert ends["refused"]
