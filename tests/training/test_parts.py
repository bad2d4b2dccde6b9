"""A step in parts is the step as a whole."""

import contextlib

import pytest
import torch
from torch import nn

from lmkit.data.loading import Batch
from lmkit.errors import LmkitError
from lmkit.interfaces.deformation import Deformation
from lmkit.runtime.assemble import assemble
from lmkit.runtime.launch import Place
from lmkit.training.learner import Learner, Objective, Updater, divide_batch
from lmkit.training.parts import BatchPart
from lmkit.training.processes import ALONE, Processes
from lmkit.training.step import run_step


@pytest.fixture
def images():
    return torch.randint(
        0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


class Foreign(Deformation):
    """A deformation that the core knows nothing of but its interface."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, images, generator):
        return self.inner(images, generator)


def fixed(assembly):
    """Let BatchNorm go by its running means, so that no image knows of another."""
    assembly.train()
    for _, network in assembly.networks():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    return assembly


def learn(assembly, optimizer, images, accumulate):
    """What a step of subjects in twos comes to, and its gradient."""
    subjects = torch.arange(4).repeat_interleave(2)
    updater = Updater(assembly, optimizer)
    objective = Objective(assembly, 0, contextlib.nullcontext)
    learner = Learner(objective, updater, ALONE, batch_size=8, accumulate=accumulate)
    learned = learner.learn(Batch(images, subjects), 3)
    found = [p.grad.flatten() for each in updater.networks.values() for p in each]
    return learned, torch.cat(found)


@pytest.mark.parametrize("deformation", ["similarity", "tps", "foreign"])
@pytest.mark.parametrize("pairing", ["intra", "inter-intra"])
def test_several_passes_give_the_gradient_of_one(tiny, registry, images, deformation, pairing):
    name = "tps" if deformation == "foreign" else deformation
    settings = tiny(f"deformation.name={name}", f"pairing.name={pairing}", "run.batch_size=8")
    found = []
    for accumulate in (1, 2, 4):
        assembly = fixed(assemble(settings, registry))
        if deformation == "foreign":
            assembly.deformation = Foreign(assembly.deformation)
        found.append(learn(assembly, settings.optimizer, images, accumulate))
    (whole, gradient), *others = found
    for learned, other in others:
        torch.testing.assert_close(learned.loss, whole.loss, rtol=1e-5, atol=0)
        torch.testing.assert_close(learned.terms["mse"], whole.terms["mse"], rtol=1e-5, atol=0)
        torch.testing.assert_close(learned.points, whole.points, rtol=0, atol=1e-5)
        assert (other - gradient).norm() < 1e-4 * gradient.norm()


@pytest.mark.parametrize("join", [False, True])
def test_a_part_has_the_record_of_its_own_rows(tiny, registry, images, join):
    settings = tiny("deformation.name=tps", "run.batch_size=8")
    assembly = fixed(assemble(settings, registry))
    truth = torch.rand(8, 5, 2, generator=torch.Generator().manual_seed(3)) * 2 - 1
    common = {"number": 1, "seed": 0, "autocast": contextlib.nullcontext}
    batch = Batch(images, points=truth, partners=images.flip(0), partner_points=truth.flip(0))
    whole = run_step(assembly, batch, **common)
    rows = slice(2, 4)

    def joined(own):
        """Stand in for the other processes, by what the whole step has of their images."""
        for full in (whole.landmarks["original"].points, whole.landmarks["original"].score_maps):
            if full.shape[1:] == own.shape[1:]:
                return full
        return whole.landmarks["original"].probability_maps

    part = BatchPart(rows, joined if join else None)
    step = run_step(assembly, batch, **common, part=part)
    for view in ("original", "deformed", "auxiliary"):
        close = {"rtol": 0, "atol": 1e-4, "equal_nan": True}
        torch.testing.assert_close(step.views[view], whole.views[view][rows], **close)
        mine, all_of_them = step.landmarks[view].points, whole.landmarks[view].points
        torch.testing.assert_close(mine, all_of_them[rows], **close)
        torch.testing.assert_close(step.truth[view], whole.truth[view][rows], **close)
    torch.testing.assert_close(step.stages[0][0], whole.stages[0][0][rows], rtol=0, atol=1e-3)


def test_every_image_of_a_batch_is_computed_once():
    rows = []
    for rank in range(2):
        processes = Processes(Place(rank=rank, world=2, local_rank=rank, local_world=2))
        for part in divide_batch(24, 3, processes):
            assert part.join is None
            rows += range(24)[part.rows]
        (alone,) = divide_batch(24, 1, processes)
        assert alone.join is not None
    assert rows == list(range(24))
    assert divide_batch(24, 1, ALONE) == [None]


def test_a_batch_that_cannot_be_divided_is_refused():
    processes = Processes(Place(rank=0, world=4, local_world=4))
    with pytest.raises(LmkitError, match="30 cannot be divided evenly among 4 processes of 2"):
        divide_batch(30, 2, processes)
    with pytest.raises(LmkitError, match="among 4 passes") as caught:
        divide_batch(30, 4, ALONE)
    assert "--batch-size 28" in caught.value.remedy
    assert "run.accumulate" in caught.value.remedy


def test_what_is_averaged_between_processes_is_no_weight(tiny, registry, monkeypatch):
    """Not even those of a generator that saves a part of them."""
    settings = tiny("generator.pad=8")
    assembly = assemble(settings, registry)
    averaged = []
    monkeypatch.setattr(Processes, "average", lambda self, tensors: averaged.extend(tensors))
    updater = Updater(assembly, settings.optimizer)
    objective = Objective(assembly, 0, contextlib.nullcontext)
    Learner(objective, updater, ALONE, batch_size=8, accumulate=1).settle()
    places = {tensor.data_ptr() for tensor in averaged}
    weights = [p for each in updater.networks.values() for p in each]
    assert averaged
    assert not places & {weight.data_ptr() for weight in weights}
    buffers = [b for _, b in assembly.generator.named_buffers() if b.is_floating_point()]
    assert places >= {buffer.data_ptr() for buffer in buffers}
