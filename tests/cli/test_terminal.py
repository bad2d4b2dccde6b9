"""Progress where stderr is no terminal, and on one."""

import io

import pytest
from rich.console import Console

from lmkit.cli import terminal
from lmkit.cli.terminal import CountingProgress, TrainingProgress


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the beginning, to be set."""
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_in_a_log_progress_is_a_line_from_time_to_time(clock, capsys):
    with CountingProgress("predicting", unit="images") as progress:
        for seconds in range(0, 100, 5):
            clock[0] = seconds
            progress(seconds * 4, 400)
    assert progress.done == 380
    assert capsys.readouterr().err.splitlines() == [
        "predicting 120/400  4.0 images/s  1:10 left",
        "predicting 240/400  4.0 images/s  0:40 left",
        "predicting 360/400  4.0 images/s  0:10 left",
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


def test_training_takes_the_place_of_what_was_counted_before(monkeypatch):
    """A terminal shows one bar at a time, and what is prepared may not come to its end."""
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "NOTES", Console(file=shown, force_terminal=True))
    with TrainingProgress() as progress:
        progress.prepared("reading", 4, 9)
        progress.started(step=0, steps=2)
        assert "reading" in shown.getvalue()
        shown.truncate(0)
        progress.progressed(1)
    assert "step" in shown.getvalue()
    assert "reading" not in shown.getvalue()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (0.05, ""),
        (0.2, "About 3 minutes for the 965 steps that are left.\n"),
        (30.0, "About 8 hours for the 994 steps that are left.\n"),
        (600.0, "About 7 days for the 994 steps that are left.\n"),
    ],
)
def test_training_says_soon_how_long_it_will_take(clock, capsys, step, words):
    with TrainingProgress() as progress:
        progress.started(step=100, steps=1100)
        for number in range(1, 60):
            clock[0] += 4 * step if number == 1 else step  # The first one is no measure.
            progress.progressed(100 + number)
    assert capsys.readouterr().err == words


def test_where_a_run_goes_on_it_is_judged_anew(clock, capsys):
    with TrainingProgress() as progress:
        for _ in range(2):
            progress.started(step=0, steps=1000)
            for number in range(1, 100):
                clock[0] += 1.0
                progress.progressed(number)
    assert capsys.readouterr().err.count("About 16 minutes") == 2
