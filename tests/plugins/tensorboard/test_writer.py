"""What TensorBoard reads back is what the run wrote."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lmkit.errors import LmkitError
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import read_assignments
from lmkit.settings.settings import resolve
from lmkit.training.session import resume, start
from lmkit_tensorboard.writer import TensorBoard

SHORT = ("run.steps=4", "run.log_every=1", "run.checkpoint_every=2", "run.sheet_every=2")


@pytest.fixture
def settings(tiny, registry):
    """Make the settings of a tiny run with the writer."""

    def make(*assignments, **options):
        plain = tiny(*assignments).to_dict()
        return resolve({**plain, "writer": {"tensorboard": options}}, registry)

    return make


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(events, tag):
    return [(each.step, each.value) for each in events.Scalars(tag)]


def texts(events, tag):
    return [
        (each.step, each.tensor_proto.string_val[0].decode())
        for each in events.Tensors(f"{tag}/text_summary")
    ]


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_events_hold_what_the_run_folder_holds(settings, tmp_path):
    out = tmp_path / "run"
    start(settings(*SHORT), out)
    events = read(out / "tensorboard")
    lines = metrics(out)
    assert set(events.Tags()["scalars"]) == set(lines[0]) - {"step", "device"}
    for tag in ("loss", "gradient_norm/detector", "learning_rate"):
        wanted = [(line["step"], np.float32(line[tag])) for line in lines]
        assert scalars(events, tag) == wanted
    for name in ("landmarks", "routes"):
        shown = events.Images(name)
        assert [each.step for each in shown] == [2, 4]
        for each in shown:
            there = Image.open(io.BytesIO(each.encoded_image_string))
            drawn = Image.open(out / "sheets" / f"{name}-{each.step:06d}.png")
            assert np.array_equal(
                np.asarray(there.convert("RGB")), np.asarray(drawn.convert("RGB"))
            )
    ((step, text),) = texts(events, "settings")
    assert step == 1
    assert "    detector.name = hourglass\n" in text
    assert "    writer.tensorboard.folder = None" in text
    assert texts(events, "checkpoint") == [
        (number, f"`{out / 'checkpoints' / f'step-{number}'}`") for number in (2, 4)
    ]


def test_a_run_that_goes_on_repeats_nothing(settings, tmp_path):
    class Crash(Callback):
        def progressed(self, step):
            if step == 4:
                raise RuntimeError("the machine is gone")

    out = tmp_path / "run"
    with pytest.raises(RuntimeError):
        start(settings("run.steps=6", *SHORT[1:]), out, [Crash()])
    assert [line["step"] for line in metrics(out)] == [1, 2, 3]
    resume(out)
    resume(out, [read_assignments(["run.steps=7"])])
    events = read(out / "tensorboard")
    assert [step for step, _ in scalars(events, "loss")] == [1, 2, 3, 4, 5, 6, 7]
    wanted = [np.float32(line["loss"]) for line in metrics(out)]
    assert [value for _, value in scalars(events, "loss")] == wanted
    assert [each.step for each in events.Images("routes")] == [2, 4, 6, 7]
    assert [step for step, _ in texts(events, "checkpoint")] == [2, 4, 6, 7]
    assert [step for step, _ in texts(events, "settings")] == [1, 3, 7]


def test_the_events_may_be_elsewhere(settings, tmp_path):
    start(settings("run.steps=1", folder=str(tmp_path / "board")), tmp_path / "run")
    assert scalars(read(tmp_path / "board"), "loss")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_training_is_the_same_with_it(settings, tmp_path):
    with_it = settings("run.steps=2", "run.log_every=1")
    start(with_it, tmp_path / "a")
    start(replace(with_it, writer={}), tmp_path / "b")
    names = ("loss", "gradient_norm/detector")
    first, second = ([[line[n] for n in names] for line in metrics(tmp_path / r)] for r in "ab")
    assert first == second


def test_without_the_package_nothing_starts_and_the_extra_is_named(settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(LmkitError) as caught:
        start(settings("run.steps=1"), tmp_path / "run")
    assert "needs the package tensorboard" in caught.value.problem
    assert caught.value.remedy == "Install it: pip install 'lmkit[tensorboard]'."
    assert not (tmp_path / "run").exists()


def test_making_one_writes_nothing(tmp_path):
    TensorBoard(folder=tmp_path / "board")
    assert not (tmp_path / "board").exists()
