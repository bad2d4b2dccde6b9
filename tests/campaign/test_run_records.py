"""Damaged and forged run folders: what is wrong is noticed or harmless, and never believed.

A few of each in every run of the tests; hundreds with ``pytest -m campaign``.
"""

import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmkit.records import write_record
from lmkit.training.session import start

RECORDS = (
    "run.json",
    "split.json",
    "checkpoints/step-4/state.json",
)
TENSORS = ("detector", "generator", "optimizer")
TRY = Path(__file__).with_name("try_runs.py")
MOST_MEGABYTES = 2500
"""What a process that only refuses may take: torch and its kernels are half a gigabyte."""

VALUES = [
    *(None, True, False, 0, 1, -1, -5, 3, 1_000_000, 2**31, 2**63, 2**64, 10**400),
    *(0.5, -0.0, 1e-300, 1e39, 1e300, float("nan"), float("inf"), -float("inf")),
    *("", "x", "none", "-5", "1e9", "../../etc", "\ud800", "\0", "y" * 300),
    *([], [1], ["x"], [[[[]]]], {}, {"x": 1}, {"name": "none"}, {"name": 3}),
]


@pytest.fixture(scope="module")
def sound(tiny, tmp_path_factory):
    """A run that could go on for one more step, whose checkpoints are of step 2 and 4."""
    out = tmp_path_factory.mktemp("sound") / "run"
    # Resuming to another number of steps is what a user may ask for.
    start(tiny("run.checkpoint_every=2", "optimizer.decay_every=100"), out)
    shutil.rmtree(out / "sheets")
    return out


@pytest.fixture(scope="module")
def untouched(sound, tmp_path_factory):
    """What comes of the run when nothing is wrong with it."""
    (found,) = try_runs([shutil.copytree(sound, tmp_path_factory.mktemp("untouched") / "run")])
    assert found["check"] == ["done", "sound"]
    assert found["predict"][0] == found["go_on"][0] == "done", found
    return found


def try_runs(runs):
    """Use runs in other processes, and return what came of each; None where the process died."""
    results = []
    while len(results) < len(runs):
        batch = runs[len(results) : len(results) + 50]
        ended = subprocess.run(
            [sys.executable, str(TRY), *map(str, batch)],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        results += lines
        if len(lines) < len(batch):
            results.append(None)
    return results


def leaves(value, path=()):
    """Yield the path of every value in nested JSON, of tables and lists as well."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*path, key))


def flip(file, draw):
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def truncate(file, draw):
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content))])


def overwrite(file, draw):
    content = bytearray(file.read_bytes())
    start_ = draw.randrange(len(content))
    length = min(draw.choice((1, 16, 512)), len(content) - start_)
    content[start_ : start_ + length] = draw.choice((bytes(length), draw.randbytes(length)))
    file.write_bytes(content)


def mutate(file, draw, *, keep_checksum=True):
    """Put another value, often of another type, in the place of one; or take one away."""
    record = json.loads(file.read_text())
    if not keep_checksum:
        record.pop("checksum")
    known = [path for path in leaves(record) if path != ("checksum",)]
    *above, key = draw.choice(known)
    table = record
    for step in above:
        table = table[step]
    if draw.random() < 0.15:
        del table[key]
    elif draw.random() < 0.1:
        table[key] = nested(draw.choice((40, 900, 100_000)))
    else:
        table[key] = draw.choice(VALUES)
    file.write_text(record if isinstance(record, str) else dump(record))


def nested(depth):
    return f"<{depth} deep>"


def dump(record):
    text = json.dumps(record)
    for depth in (40, 900, 100_000):
        text = text.replace(json.dumps(nested(depth)), "[" * depth + "]" * depth)
    return text


def damaged_copy(sound, place, number):
    """Return a copy of the run with one damaged record, and in words what was done to it."""
    draw = random.Random(f"damage {number}")
    copy = shutil.copytree(sound, place / str(number))
    name = draw.choice(RECORDS)
    how = draw.choice((flip, flip, truncate, overwrite, mutate, mutate))
    how(copy / name, draw)
    return copy, f"{how.__name__} of {name} ({number})"


def faults_of_damaged(sound, untouched, place, numbers):
    """Return what damaged records led to that they should not, and how often they were noticed."""
    copies = [damaged_copy(sound, place, number) for number in numbers]
    faults, noticed = [], 0
    for (copy, what), found in zip(copies, try_runs([copy for copy, _ in copies]), strict=True):
        if found is None:
            faults.append(f"{what}: the process died")
            continue
        refused = [use for use in ("predict", "go_on") if found[use][0] == "refused"]
        noticed += bool(refused)
        for use in ("check", "predict", "go_on"):
            if found[use][0] == "traceback":
                faults.append(f"{what}: {use}: {found[use][1]}")
            if found[use][0] == "done" and found[use] != untouched[use] and use != "check":
                faults.append(f"{what}: {use} came to something else")
        if bool(refused) != (found["check"] == ["done", "damaged"]):
            faults.append(f"{what}: refused {refused}, and the check says {found['check']}")
        shutil.rmtree(copy)
    return faults, noticed


def test_a_few_damaged_records_are_noticed_or_harmless(sound, untouched, tmp_path):
    faults, noticed = faults_of_damaged(sound, untouched, tmp_path, range(1000, 1012))
    assert faults == []
    assert noticed >= 8


@pytest.mark.campaign
def test_damaged_records_are_noticed_or_harmless(sound, untouched, tmp_path):
    faults, noticed = faults_of_damaged(sound, untouched, tmp_path, range(500))
    print(f"500 damaged records: {noticed} noticed, {500 - noticed} harmless, {len(faults)} faults")
    assert faults == []


def altered_copy(sound, place, number):
    """Return a copy of the run with a record that was changed and whose checksum was taken out."""
    draw = random.Random(f"alter {number}")
    copy = shutil.copytree(sound, place / str(number))
    name = draw.choice(RECORDS)
    mutate(copy / name, draw, keep_checksum=False)
    return copy, f"alteration of {name} ({number})"


def faults_of_altered(sound, place, numbers):
    copies = [altered_copy(sound, place, number) for number in numbers]
    faults = []
    for (copy, what), found in zip(copies, try_runs([copy for copy, _ in copies]), strict=True):
        if found is None:
            faults.append(f"{what}: the process died")
            continue
        faults += [
            f"{what}: {use}: {found[use][1]}"
            for use in ("check", "predict", "go_on")
            if found[use][0] == "traceback"
        ]
        if found["megabytes"] > MOST_MEGABYTES:
            faults.append(f"{what}: took {found['megabytes']} MB")
        shutil.rmtree(copy)
    return faults


def test_a_few_altered_records_without_checksum_end_in_no_traceback(sound, tmp_path):
    assert faults_of_altered(sound, tmp_path, range(1000, 1008)) == []


@pytest.mark.campaign
def test_altered_records_without_checksum_end_in_no_traceback(sound, tmp_path):
    faults = faults_of_altered(sound, tmp_path, range(300))
    print(f"300 records altered on purpose: {len(faults)} faults")
    assert faults == []


def header_and_values(file):
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_tensor_file(file, header, values, length=None):
    text = header if isinstance(header, bytes) else dump(header).encode("utf-8", "surrogatepass")
    file.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + values)


def forge_header(file, draw):
    """Put another value somewhere in the header, which says where the values of a tensor lie."""
    header, values = header_and_values(file)
    *above, key = draw.choice(list(leaves(header)))
    table = header
    for step in above:
        table = table[step]
    if draw.random() < 0.2:
        del table[key]
    else:
        table[key] = draw.choice([*VALUES, "F64", "F16", "I8", "F4", [2**40, 2**40], [0, 2**62]])
    write_tensor_file(file, header, values)


def forge_length(file, draw):
    header, values = header_and_values(file)
    length = draw.choice((0, 1, 7, 2**16, 10**8, 2**31, 2**63, 2**64 - 1))
    write_tensor_file(file, header, values, length)


def forge_text(file, draw):
    _, values = header_and_values(file)
    text = draw.choice(
        (b"", b"null", b"[]", b"{", b"\xff" * 9, b"[" * 10**6, b'{"a":' * 5000, b'{"a": 1e999}')
    )
    write_tensor_file(file, text, values)


def forge_tensors(file, draw):
    """Write a sound file of tensors that are not those of the networks."""
    tensors = load_file(file)
    name = draw.choice(sorted(tensors))
    whole = tensors[name]
    forged = draw.choice(
        (
            whole.flatten()[:1].clone(),
            whole.flatten()[:0].clone(),
            torch.zeros(0, 2**40, dtype=whole.dtype),
            torch.zeros(1, *whole.shape, dtype=whole.dtype),
            torch.cat([whole.flatten(), whole.flatten()]),
            whole.double() if whole.is_floating_point() else whole.int(),
            whole.to(torch.int64) if whole.is_floating_point() else whole.float(),
            torch.full_like(whole, -7),
            torch.full(whole.shape, float("nan")),
            torch.full(whole.shape, float("inf")),
            None,
        )
    )
    if forged is None:
        del tensors[name]
    else:
        tensors[name] = forged
    if draw.random() < 0.2:
        tensors[draw.choice(("9999.exp_avg", "-1.exp_avg", "x.y.z", "0.exp_avg.", "more"))] = whole
    save_file(tensors, file)


def forged_copy(sound, place, number):
    """Return a copy of the run with a forged file of tensors that all its records vouch for."""
    draw = random.Random(f"forge {number}")
    copy = shutil.copytree(sound, place / str(number))
    checkpoint = copy / "checkpoints" / "step-4"
    file = checkpoint / f"{draw.choice(TENSORS)}.safetensors"
    how = draw.choice((forge_header, forge_header, forge_tensors, forge_tensors, forge_tensors))
    if number % 8 == 0:
        how = draw.choice((forge_length, forge_text))
    how(file, draw)
    state = json.loads((checkpoint / "state.json").read_text())
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    state["files"][file.name] = {"bytes": len(content), "sha256": digest}
    write_record(checkpoint / "state.json", state)
    return copy, f"{how.__name__} of {file.name} ({number})"


def faults_of_forged(sound, place, numbers):
    copies = [forged_copy(sound, place, number) for number in numbers]
    faults, refused = [], 0
    for (copy, what), found in zip(copies, try_runs([copy for copy, _ in copies]), strict=True):
        if found is None:
            faults.append(f"{what}: the process died")
            continue
        faults += [
            f"{what}: {use}: {found[use][1]}"
            for use in ("check", "predict", "go_on")
            if found[use][0] == "traceback"
        ]
        refused += found["go_on"][0] == "refused"
        if found["megabytes"] > MOST_MEGABYTES:
            faults.append(f"{what}: took {found['megabytes']} MB")
        shutil.rmtree(copy)
    return faults, refused


def test_a_few_forged_tensor_files_crash_nothing(sound, tmp_path):
    faults, refused = faults_of_forged(sound, tmp_path, range(1000, 1010))
    assert faults == []
    assert refused >= 5


@pytest.mark.campaign
def test_forged_tensor_files_crash_nothing(sound, tmp_path):
    faults, refused = faults_of_forged(sound, tmp_path, range(100))
    print(f"100 forged tensor files: {refused} refused, {100 - refused} of their values")
    assert faults == []
