"""The note about collapsed landmarks: late, once, and never on a healthy run."""

import json

import pytest

from lmkit.runtime.callback import Callback
from lmkit.training import collapse as health
from lmkit.training.collapse import IN_A_ROW, WARM_UP, CollapseWatch
from lmkit.training.session import start

HEALTHY = {"spread": 15.0, "pinned": 0.0, "coincident": 0.0, "border": 0.0}
LOST = {"spread": 0.31, "pinned": 0.8, "coincident": 1.0, "border": 0.0}


def reading(values):
    return {f"landmarks/{name}": value for name, value in values.items()}


def said(readings, first=WARM_UP + 10, batch_size=16):
    watch = CollapseWatch(batch_size)
    steps = range(first, first + 10 * len(readings), 10)
    return [watch.hear(step, reading(each)) for step, each in zip(steps, readings, strict=True)]


def test_it_speaks_once_after_some_readings_in_a_row():
    notes = said([LOST] * 3 * IN_A_ROW)
    assert [bool(note) for note in notes].index(True) == IN_A_ROW - 1
    assert sum(map(bool, notes)) == 1
    assert notes[IN_A_ROW - 1] == (
        f"After {WARM_UP + 10 * IN_A_ROW} steps the landmarks look collapsed: 80% stay near the "
        "centre, 100% lie on one another, on average they move by 0.3 % of the side. Look at the "
        "run's sheets. What may help: another run.seed, a smaller detector.beta (quickstart "
        "takes 3), a lower optimizer.learning_rate, a stronger deformation."
    )


def test_a_healthy_reading_starts_the_count_over():
    nearly = [LOST] * (IN_A_ROW - 1)
    assert not any(said([*nearly, HEALTHY, *nearly]))
    assert not any(said([HEALTHY] * 100))


def test_the_warm_up_counts_for_nothing():
    notes = said([LOST] * 20, first=WARM_UP - 100)
    # Readings at WARM_UP - 100, ..., WARM_UP are eleven.
    assert [bool(note) for note in notes].index(True) == 11 + IN_A_ROW - 1


def test_batches_of_one_image_tell_nothing():
    still = {**HEALTHY, "spread": 0.0}
    assert any(said([still] * 20))
    assert not any(said([still] * 20, batch_size=1))


class Notes(Callback):
    def __init__(self):
        self.heard = []

    def note(self, text):
        self.heard.append(text)


@pytest.mark.parametrize("lost", [True, False])
def test_a_run_logs_its_landmarks_and_tells_of_a_collapse(tiny, tmp_path, monkeypatch, lost):
    monkeypatch.setattr(health, "WARM_UP", 0)
    monkeypatch.setattr(health, "IN_A_ROW", 2)
    monkeypatch.setattr(health, "looks_collapsed", lambda values: lost)
    notes = Notes()
    start(tiny("run.log_every=1"), tmp_path / "run", [notes])
    assert len([note for note in notes.heard if "look collapsed" in note]) == lost
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    for line in lines:
        assert line["landmarks/spread"] > 0
        for share in ("pinned", "coincident", "border"):
            assert 0 <= line[f"landmarks/{share}"] <= 1
