"""Training as a whole: it is exact, it resumes exactly, and it stops in order."""

import json
import math
import os
import shutil
import signal
from pathlib import Path
from signal import SIGTERM
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lmkit.data.sets.faces import Faces
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume, start


def weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint, the optimiser's included."""
    found = {}
    for file in sorted((out / "checkpoints" / f"step-{step}").glob("*.safetensors")):
        found |= {f"{file.name}/{key}": value for key, value in load_file(file).items()}
    return found


TIMES = {"images_per_second", "data_wait"}


class Notes(Callback):
    """Keeps what the user is told."""

    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


def metrics(out: Path) -> list[dict[str, object]]:
    """The lines of metrics, without what a clock measured."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in TIMES} for line in lines]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


class At(Callback):
    """Does something once a step is reached."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def progressed(self, step):
        if step == self.step:
            self.action()


def test_the_same_settings_give_the_same_weights(tiny, tmp_path):
    for name in ("a", "b"):
        start(tiny(), tmp_path / name)
    assert same(weights(tmp_path / "a", 4), weights(tmp_path / "b", 4))
    start(tiny("run.seed=1"), tmp_path / "c")
    assert not same(weights(tmp_path / "a", 4), weights(tmp_path / "c", 4))


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tiny, tmp_path):
    start(tiny("run.steps=6", "run.log_every=2"), tmp_path / "whole")
    start(tiny("run.steps=3", "run.log_every=2"), tmp_path / "parts")
    _, outcome = resume(tmp_path / "parts", [read_assignments(["run.steps=6"])])
    assert outcome.step == 6
    assert same(weights(tmp_path / "whole", 6), weights(tmp_path / "parts", 6))
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


@pytest.mark.parametrize("stop", range(1, 9))
def test_however_often_a_run_is_stopped_its_metrics_are_those_of_one_that_is_not(
    tiny, tmp_path, stop
):
    settings = ("run.steps=9", "run.log_every=4", "run.checkpoint_every=3", "run.keep=9")
    start(tiny(*settings), tmp_path / "whole")
    assert [line["step"] for line in metrics(tmp_path / "whole")] == [4, 8, 9]
    start(tiny(*settings), tmp_path / "parts", [At(stop, lambda: os.kill(os.getpid(), SIGTERM))])
    assert metrics(tmp_path / "parts")[-1]["step"] < 9
    resume(tmp_path / "parts")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    # As a kill leaves it: lines after the newest checkpoint, and that one between two lines.
    for number in (9, 8):
        shutil.rmtree(tmp_path / "parts" / "checkpoints" / f"step-{number}", ignore_errors=True)
    resume(tmp_path / "parts")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert same(weights(tmp_path / "whole", 9), weights(tmp_path / "parts", 9))


def test_a_damaged_average_is_told_and_stops_nothing(tiny, tmp_path):
    start(tiny("run.steps=3", "run.log_every=2"), tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-3" / "metrics.safetensors").write_bytes(b"nonsense")
    notes = Notes()
    resume(tmp_path / "run", [read_assignments(["run.steps=4"])], [notes])
    assert any("the next line of metrics averages" in text for text in notes.texts)
    assert [line["step"] for line in metrics(tmp_path / "run")] == [2, 3, 4]
    start(tiny("run.steps=4"), tmp_path / "whole")
    ours, theirs = weights(tmp_path / "run", 4), weights(tmp_path / "whole", 4)
    trained = [key for key in theirs if not key.startswith("metrics")]
    assert all(torch.equal(ours[key], theirs[key]) for key in trained)


def test_a_run_on_pairs_of_images_resumes_exactly(tiny, tmp_path):
    pairs = ("loading.partner=subject", "loss.points.weight=1", "run.landmarks=5")
    start(tiny("run.steps=4", *pairs), tmp_path / "whole")
    start(tiny("run.steps=2", *pairs), tmp_path / "parts")
    with pytest.raises(LmkitError, match=r"loading\.partner was subject and is to be none"):
        resume(tmp_path / "parts", [read_assignments(["run.steps=4", "loading.partner=none"])])
    resume(tmp_path / "parts", [read_assignments(["run.steps=4"])])
    assert same(weights(tmp_path / "whole", 4), weights(tmp_path / "parts", 4))
    start(tiny("run.steps=4", *pairs[1:]), tmp_path / "single")
    assert not same(weights(tmp_path / "whole", 4), weights(tmp_path / "single", 4))


def test_an_image_changes_nothing(tiny, tmp_path):
    start(tiny("run.sheet_every=0"), tmp_path / "few")
    start(tiny("run.sheet_every=1"), tmp_path / "many")
    assert same(weights(tmp_path / "few", 4), weights(tmp_path / "many", 4))
    assert len(list((tmp_path / "many" / "sheets").glob("landmarks-*.png"))) == 4


def test_the_global_generator_is_left_alone(tiny, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    start(tiny("run.steps=1"), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_a_signal_finishes_the_step_and_saves(tiny, tmp_path, number, code):
    handlers = signal.getsignal(number)
    stopper = At(2, lambda: os.kill(os.getpid(), number))
    _, outcome = start(tiny("run.steps=5"), tmp_path / "run", [stopper])
    assert outcome.stop.code == code
    assert 2 <= outcome.step < 5
    assert signal.getsignal(number) is handlers
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped"
    resume(tmp_path / "run")
    start(tiny("run.steps=5"), tmp_path / "whole")
    assert same(weights(tmp_path / "run", 5), weights(tmp_path / "whole", 5))


def test_a_run_without_a_checkpoint_resumes_from_the_start(tiny, tmp_path):
    def crash():
        raise RuntimeError("the machine is gone")

    with pytest.raises(RuntimeError):
        start(tiny(), tmp_path / "run", [At(2, crash)])
    resume(tmp_path / "run")
    start(tiny(), tmp_path / "whole")
    assert same(weights(tmp_path / "run", 4), weights(tmp_path / "whole", 4))


def test_values_that_stay_not_finite_end_the_run_and_keep_what_was_saved(
    tiny, tmp_path, monkeypatch
):
    from lmkit.training import learner as module

    honest = module.weigh

    def poisoned(assembly, step, autocast):
        loss, terms = honest(assembly, step, autocast)
        return (loss * math.nan, terms) if step.number >= 2 else (loss, terms)

    monkeypatch.setattr(module, "weigh", poisoned)
    settings = tiny("run.steps=30", "run.checkpoint_every=2", "run.log_every=1")
    with pytest.raises(LmkitError, match="The last 10 updates up to step 12") as caught:
        start(settings, tmp_path / "run")
    assert caught.value.code == ExitCode.DIVERGED
    assert "loss" in caught.value.problem
    sound = weights(tmp_path / "run", 10)
    assert all(value.isfinite().all() for value in sound.values())
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


def test_unreadable_images_are_skipped_counted_and_listed(tiny, tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        noise = torch.randint(0, 256, (40, 40, 3), dtype=torch.uint8).numpy()
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "text.jpg").write_text("not an image")
    cut = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(cut[: len(cut) // 2])
    data = (f"data.name=folder:{folder}", "loading.held_out=0")
    with pytest.raises(LmkitError, match=r"text\.jpg") as caught:
        start(tiny(*data), tmp_path / "strict")
    assert caught.value.code == ExitCode.DATA
    assert not (tmp_path / "strict").exists()
    start(tiny(*data, "loading.max_unreadable=0.3"), tmp_path / "run")
    listed = json.loads((tmp_path / "run" / "unreadable.json").read_text())
    assert {entry["image"] for entry in listed} == {"3.png", "text.jpg"}


SUPERVISED = (
    *("generator.name=none", "pairing.name=intra", "run.landmarks=5"),
    *("loss.points.weight=1", "loss.mse.weight=0"),
)


def supervised(tiny, *assignments):
    """Settings of a run that learns from annotation alone."""
    settings = tiny(*SUPERVISED, *assignments)
    del settings.loss["mse"]
    return settings


class Spied(Annotation):
    """What is known about an image, and whether anybody looked at its points."""

    looks: ClassVar[list[int]] = []

    @property
    def points(self):
        Spied.looks.append(1)
        return self[0]


@pytest.fixture
def spy(monkeypatch):
    """Count how often training, from its first step to its last, looks at annotated points."""
    honest = Faces.annotation
    monkeypatch.setattr(Faces, "annotation", lambda self, index: Spied(*honest(self, index)))

    class Reset(Callback):
        def started(self, *, step, steps):
            Spied.looks.clear()

    return Spied.looks, Reset()


def test_unsupervised_training_looks_at_no_annotated_point(tiny, tmp_path, spy):
    looks, reset = spy
    start(tiny("run.sheet_every=2"), tmp_path / "unsupervised", [reset])
    assert looks == []
    start(supervised(tiny), tmp_path / "supervised", [reset])
    assert len(looks) == 4 * 4


def test_a_loss_can_learn_from_the_points_that_are_known(tiny, tmp_path, monkeypatch):
    honest = Faces.annotation

    def partly(self, index):
        points = honest(self, index).points.copy()
        points[index % 5] = np.nan
        return Annotation(None if index % 3 == 0 else points)

    monkeypatch.setattr(Faces, "annotation", partly)
    start(supervised(tiny, "run.log_every=1"), tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all(0 < json.loads(line)["loss/points"] < 4 for line in lines)


def test_a_resumed_supervised_run_is_bitwise_the_uninterrupted_one(tiny, tmp_path):
    start(supervised(tiny, "run.steps=4"), tmp_path / "whole")
    start(supervised(tiny, "run.steps=2"), tmp_path / "parts")
    resume(tmp_path / "parts", [read_assignments(["run.steps=4"])])
    assert same(weights(tmp_path / "whole", 4), weights(tmp_path / "parts", 4))


def test_changed_settings_are_refused_on_resume(tiny, tmp_path, trained):
    before = weights(trained, 4)
    with pytest.raises(LmkitError, match=r"run.seed was 0 and is to be 3") as caught:
        resume(trained, [read_assignments(["run.seed=3", "run.steps=9"])])
    assert caught.value.code == ExitCode.RUN
    with pytest.raises(LmkitError, match="at step 4 already"):
        resume(trained)
    assert same(weights(trained, 4), before)
