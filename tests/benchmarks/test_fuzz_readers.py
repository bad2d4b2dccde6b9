"""The fuzzer runs where atheris is installed, and says so where it is not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz_readers.py"


def call(*words):
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(find_spec("atheris") is not None, reason="atheris is installed")
def test_it_says_what_is_missing(tmp_path):
    done = call("images", tmp_path)
    assert (done.returncode, done.stderr) == (3, "atheris is not installed: pip install atheris\n")


def test_it_says_what_it_can_be_given():
    done = call("videos")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Name one of: images, csv, coco, settings.\n"
