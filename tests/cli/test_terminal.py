"""Progress where stderr is no terminal."""

import pytest

from lmkit.cli import terminal
from lmkit.cli.terminal import CountingProgress


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the beginning, to be set."""
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_in_a_log_progress_is_a_line_from_time_to_time(clock, capsys):
    with CountingProgress("predicting", unit="pictures") as progress:
        for seconds in range(0, 100, 5):
            clock[0] = seconds
            progress(seconds * 4, 400)
    assert progress.done == 380
    assert capsys.readouterr().err.splitlines() == [
        "predicting 120/400  4.0 pictures/s  1:10 left",
        "predicting 240/400  4.0 pictures/s  0:40 left",
        "predicting 360/400  4.0 pictures/s  0:10 left",
    ]


def test_what_takes_seconds_says_nothing(clock, capsys):
    with CountingProgress("reading") as progress:
        clock[0] = 29
        progress(3, 9)
    assert capsys.readouterr().err == ""


def test_progress_needs_neither_a_total_nor_a_unit(clock, capsys):
    with CountingProgress("reading") as progress:
        clock[0] = 31
        progress(0, 9)
        clock[0] = 62
        progress(3, None)
    assert capsys.readouterr().err.splitlines() == ["reading 0/9", "reading 3"]
