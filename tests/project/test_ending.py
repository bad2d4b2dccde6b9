"""Whoever ends pytest ends it, also while a test trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import os, signal
import pytest
from lmkit.runtime.signals import stop_on_signals

{send}

def test_that_trains():
    with stop_on_signals() as stop:
        send()
        assert stop.signal is signal.SIGTERM

def test_that_comes_afterwards():
    pass
"""
OWN = "def send():\n    os.kill(os.getpid(), signal.SIGTERM)"
FOREIGN = """
def send():
    import subprocess, sys
    ending = f"import os, signal; os.kill({os.getpid()}, signal.SIGTERM)"
    subprocess.run([sys.executable, "-c", ending], check=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("send", "code", "ended"), [(OWN, 0, False), (FOREIGN, 143, True)])
def test_a_sigterm_that_no_test_sent_ends_pytest(tmp_path, send, code, ended):
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(TESTS.format(send=send))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", tmp_path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("test_that_comes_afterwards PASSED" in done.stdout) != ended
    assert ("SIGTERM" in done.stdout) == ended
