"""A run is killed at random times, again and again, and ends as if it never had been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and fork")


def kill(folder: Path, kills: int, seed: int) -> dict[str, object]:
    script = Path(__file__).with_name("killing.py")
    paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(kills), str(seed)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("kills", "seed"), [(3, 0), pytest.param(100, 1, marks=pytest.mark.campaign)]
)
def test_killed_at_any_time_a_run_ends_as_one_that_never_was(tmp_path, kills, seed):
    found = kill(tmp_path, kills, seed)
    assert found["failures"] == []
    assert found["kills"] == kills
    assert found["equal"] == found["finished"] >= 1
