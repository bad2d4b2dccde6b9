"""The commands that only look: they never import torch, and no broken plugin stops them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FULL = Path("/dev/full")
HEAVY = ("torch", "torchvision", "numpy", "rich", "PIL", "safetensors")
RUN_AND_REPORT = f"""
import json, sys
from lmkit.cli.main import main
try:
    main(sys.argv[1:])
finally:
    found = [name for name in {HEAVY!r} if name in sys.modules]
    print(json.dumps(found), file=sys.stderr)
"""


@pytest.fixture
def broken(tmp_path):
    """Install a plugin that raises on import, and return the environment that sees it."""
    (tmp_path / "badly.py").write_text("raise RuntimeError('no luck')\n")
    info = tmp_path / "badly-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: badly-made\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[lmkit]\nbadly = badly\n")
    path = [str(tmp_path), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def run(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-c", RUN_AND_REPORT, *arguments],
        capture_output=True,
        text=True,
        env=environment or {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )


LIGHT = [
    ("--help",),
    ("--version",),
    ("train", "--help"),
    ("data", "check", "--help"),
    ("new-plugin", "--help"),
    ("reproduce", "--help"),
    ("check-plugin", "--help"),
    ("list",),
    ("list", "detector", "*glass*", "--json"),
    ("plugins",),
    ("plugins", "--json"),
    ("show", "recipe", "paper"),
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_it_is_light(arguments):
    began = time.perf_counter()
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["[]"]
    assert done.stdout.strip()
    # Tenths of a second; the bound is for machines under load.
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("list",), ("list", "--json"), ("plugins",), ("plugins", "--json")],
    ids=" ".join,
)
def test_a_broken_plugin_is_named_and_stops_nothing(broken, arguments):
    done = run(*arguments, environment=broken)
    assert done.returncode == 0
    said = " ".join((done.stdout + done.stderr).split())
    for word in ("badly", "badly-made", "RuntimeError: no luck"):
        assert word in said
    assert "Traceback" not in said
    assert done.stderr.splitlines()[-1] == "[]"
    if "--json" in arguments:
        rows = json.loads(done.stdout)
        assert any(row["name"] in ("hourglass", "lmkit_interintra") for row in rows)
    if arguments == ("plugins", "--json"):
        (row,) = (row for row in rows if row["name"] == "badly")
        assert row["state"] == "broken"
        assert row["remedy"]


def test_a_reader_that_leaves_early_is_no_error():
    command = [sys.executable, "-m", "lmkit", "list"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_an_output_that_cannot_be_written_is_said():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lmkit", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 7
    assert "The output cannot be written: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
