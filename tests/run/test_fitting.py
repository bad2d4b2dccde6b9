"""A run's networks are compared with its weights before memory is taken for them."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import lmkit
from lmkit.errors import ExitCode, LmkitError
from lmkit.records import describe_file, write_record
from lmkit.registry.lookup import installed
from lmkit.run.run import open_run
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume, start

SOURCE = """
import torch
from torch import nn
from lmkit.api import Component, Detector, Landmarks, hookimpl

LMKIT_API = "2.0"


@hookimpl
def lmkit_components():
    return [Component("detector", "counting", "counting:Counting", "Computes as it is built.")]


class Counting(Detector):
    '''Counts as it is built.

    Args:
        landmarks: K.
        width: Of its layer.
    '''

    def __init__(self, *, landmarks: int, width: int = 4) -> None:
        super().__init__(landmarks=landmarks)
        assert torch.ones(2).sum().item() == 2
        self.layer = nn.Conv2d(3, width, 1)
        self.last = nn.Conv2d(width, 2 * landmarks, 1)

    def forward(self, images):
        found = self.last(self.layer(images)).mean((2, 3)).tanh()
        return Landmarks(found.view(len(images), self.landmarks, 2).float())
"""
IMAGE = torch.zeros(3, 32, 32, dtype=torch.uint8)


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def describe(run, **options):
    """Have a run from elsewhere say something else of itself, and vouch for it."""
    record = json.loads((run / "run.json").read_text())
    for name, value in options.items():
        section, _, key = name.partition("_")
        record["settings"][section][key] = value
    write_record(run / "run.json", record)


def put(run, name, tensors):
    """Put other tensors in the place of a checkpoint's, and vouch for them."""
    checkpoint = run / "checkpoints" / "step-4"
    file = checkpoint / f"{name}.safetensors"
    save_file(tensors, file)
    state = json.loads((checkpoint / "state.json").read_text())
    state["files"][file.name] = describe_file(file)
    write_record(checkpoint / "state.json", state)


def most_memory():
    """Return the most memory that this process has had, in KiB; 0 where that is not told."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def refusal(use):
    before = most_memory()
    with pytest.raises(LmkitError) as caught:
        use()
    assert most_memory() - before < 500_000
    assert caught.value.code == ExitCode.RUN
    return caught.value


@pytest.mark.parametrize(
    "options", [{"detector_features": 100_000}, {"detector_features": 16}, {"run_landmarks": 10**9}]
)
def test_a_detector_of_another_size_is_not_built(copied, options):
    describe(copied, **options)
    error = refusal(lambda: open_run(copied, device="cpu").predict(IMAGE))
    assert "detector.safetensors does not fit the components of run.json" in error.problem
    assert "run.json is of another run" in error.remedy


def test_a_generator_of_another_size_is_not_built(copied):
    describe(copied, generator_width=100_000)
    error = refusal(lambda: resume(copied, [read_assignments(["run.steps=5"])]))
    assert "generator.safetensors does not fit" in error.problem


@pytest.fixture
def counting(install, tiny, tmp_path):
    """A run whose detector cannot be built without memory."""
    install("counting", SOURCE)
    from lmkit.settings.layers import Layer, merge
    from lmkit.settings.settings import resolve

    values = tiny("run.steps=2").to_dict()
    values["detector"] = {"name": "counting"}
    settings = resolve(merge([Layer("test", values)]), installed())
    out = tmp_path / "counting"
    start(settings, out, registry=installed())
    return out


def test_a_detector_that_cannot_be_built_without_memory_works_within_its_weights(counting):
    assert open_run(counting, device="cpu").predict(IMAGE).shape == (3, 2)
    run, _ = resume(counting, [read_assignments(["run.steps=3"])], registry=installed())
    assert run.step == 3
    describe(counting, detector_width=10**9)
    error = refusal(lambda: open_run(counting, device="cpu").predict(IMAGE))
    assert "describes networks that are far larger than its weights" in error.problem


def altered(run, name, change):
    tensors = load_file(run / "checkpoints" / "step-4" / f"{name}.safetensors")
    change(tensors)
    put(run, name, tensors)


def set_(name, make):
    def change(tensors):
        tensors[name] = make(tensors[name]).contiguous()

    return change


MOMENTS = {
    "another shape": (set_("0.exp_avg", lambda x: x.flatten()[:1]), "0.exp_avg is 1 of float32"),
    "no values": (set_("0.exp_avg_sq", lambda x: x[:0]), "0.exp_avg_sq is 0 x"),
    "another type": (set_("1.exp_avg", lambda x: x.double()), "of float64, where"),
    "a count for each weight": (set_("0.step", lambda x: torch.ones(3)), "0.step is 3 of float32"),
    "a count below 0": (set_("0.step", lambda x: -x), "0.step counts -4 updates, of 4 steps"),
    "a count of a million": (set_("0.step", lambda x: x * 1e6), "counts 4e+06 updates, of 4"),
    "no number": (set_("0.exp_avg", lambda x: x * torch.nan), "values that are not finite"),
    "a square below 0": (set_("0.exp_avg_sq", lambda x: x - 1), "a mean of squares below 0"),
    "one too few": (lambda tensors: tensors.pop("0.exp_avg"), "it lacks 0.exp_avg"),
    "a parameter too many": (
        lambda tensors: tensors.update({"9999.step": torch.tensor(1.0)}),
        "it holds 9999.step, which no parameter has",
    ),
    "another name": (
        lambda tensors: tensors.update({"x.step": torch.tensor(1.0)}),
        "it holds x.step, which no parameter has",
    ),
}


@pytest.mark.parametrize(("change", "problem"), MOMENTS.values(), ids=MOMENTS)
def test_moments_of_other_weights_do_not_reach_the_optimiser(copied, change, problem):
    altered(copied, "optimizer", change)
    error = refusal(lambda: resume(copied, [read_assignments(["run.steps=5"])]))
    assert "optimizer.safetensors does not fit the components of run.json" in error.problem
    assert problem in error.problem


def test_weights_that_are_not_finite_are_not_loaded(copied):
    weights = load_file(copied / "checkpoints" / "step-4" / "detector.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point())
    altered(copied, "detector", set_(name, lambda x: x * torch.inf))
    error = refusal(lambda: open_run(copied, device="cpu").detector)
    assert "detector.safetensors holds values that are not finite" in error.problem
    assert "step-2 is then taken" in error.remedy


@pytest.mark.parametrize("step", [-5, 0, 5, 1_000_000, 2**70, "4", 4.0, True, None, [4]])
def test_a_step_that_is_not_the_checkpoints_is_not_believed(copied, step):
    file = copied / "checkpoints" / "step-4" / "state.json"
    write_record(file, {**json.loads(file.read_text()), "step": step})
    before = sorted(path.name for path in (copied / "checkpoints").iterdir())
    for use in (
        lambda: resume(copied, [read_assignments(["run.steps=5"])]),
        lambda: open_run(copied, device="cpu").step,
        lambda: lmkit.open_run(copied, device="cpu").predict(IMAGE),
    ):
        error = refusal(use)
        assert "step-4 is damaged: state.json cannot be used" in error.problem
        assert error.remedy == "Move that folder away. step-2 is then taken."
    assert sorted(path.name for path in (copied / "checkpoints").iterdir()) == before


def test_a_checkpoint_under_another_name_is_not_believed(copied):
    checkpoints = copied / "checkpoints"
    (checkpoints / "step-4").rename(checkpoints / "step-1000000")
    error = refusal(lambda: resume(copied, [read_assignments(["run.steps=5"])]))
    assert "step-1000000 is damaged: state.json cannot be used: it says step 4" in error.problem


@pytest.mark.parametrize(
    "files",
    [
        *(None, [], {"../x": {}}, {"detector.safetensors": None}),
        {"detector.safetensors": {"bytes": 3, "sha256": "x"}},
        {"../../etc/passwd": {"bytes": 3, "sha256": "0" * 64}},
    ],
)
def test_a_list_of_files_that_is_none_is_not_believed(copied, files):
    file = copied / "checkpoints" / "step-4" / "state.json"
    write_record(file, {**json.loads(file.read_text()), "files": files})
    error = refusal(lambda: open_run(copied, device="cpu").detector)
    assert "step-4 is damaged: state.json cannot be used" in error.problem


def test_another_checkpoint_that_is_damaged_too_is_not_advised(copied):
    for step in (2, 4):
        file = copied / "checkpoints" / f"step-{step}" / "detector.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
    error = refusal(lambda: open_run(copied, device="cpu").detector)
    assert "step-4 is damaged: detector.safetensors is not what was written" in error.problem
    assert "step-2 cannot be used either" in error.remedy
