"""Components of different packages train together; a new component joins by itself."""

import contextlib

import pytest
import torch

from lmkit.data.framing import build_framer
from lmkit.data.loading import TrainingBatches
from lmkit.registry.lookup import installed
from lmkit.runtime.assemble import assemble, build_dataset
from lmkit.settings.layers import Layer, merge, read_recipe
from lmkit.settings.settings import resolve
from lmkit.training.learner import Updater
from lmkit.training.step import run_step, weigh

SMALL = {
    "detector dve": {"descriptor": 8, "width": 4, "depth": 1, "blocks": 1},
    "detector hourglass": {"features": 8, "depth": 1},
    "detector timm": {"backbone": "resnet10t", "width": 8},
    "detector structure": {"width": 4, "depth": 1},
    "detector imm": {"width": 4},
    "generator residual": {"width": 4, "blocks": 1},
    "generator imm": {"width": 4},
    "generator structure": {"width": 4, "depth": 1},
    "generator transporter": {"width": 4},
}
"""What keeps a component small. What is not here is built as it is."""


def names(kind: str) -> list[str]:
    return [entry.component.name for entry in installed().components(kind) if entry.plugin.built_in]


def train_two_steps(**parts: str) -> None:
    """Train on generated faces, and see that the detector learns."""
    registry = installed()
    chosen = {
        kind: {"name": name, **SMALL.get(f"{kind} {name}", {})} for kind, name in parts.items()
    }
    sizes = {"batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"}
    layers = [
        *read_recipe("reconstruction-quick", registry),
        Layer("test", {"run": sizes, "data": {"count": 8}, **chosen}, losses=["mse"]),
    ]
    settings = resolve(merge(layers), registry)
    dataset = build_dataset(settings, registry)
    assembly = assemble(settings, registry)
    assembly.train()
    updater = Updater(assembly, settings.optimizer)
    before = torch.cat([p.detach().flatten().clone() for p in assembly.detector.parameters()])
    batches = TrainingBatches(
        dataset, range(8), framer=build_framer(settings), batch_size=4, seed=0, start=0, stop=2
    )
    for number, batch in enumerate(batches):
        step = run_step(
            assembly,
            batch,
            number=number,
            seed=0,
            autocast=contextlib.nullcontext,
        )
        loss, _ = weigh(assembly, step, contextlib.nullcontext)
        updater.backward(loss)
        _, skipped = updater.apply(loss, number)
        assert not skipped
    after = torch.cat([p.detach().flatten() for p in assembly.detector.parameters()])
    assert after.isfinite().all()
    assert not torch.equal(before, after)


@pytest.mark.parametrize("pairing", names("pairing"))
@pytest.mark.parametrize("detector", names("detector"))
def test_every_detector_trains_with_every_pairing(detector, pairing):
    train_two_steps(detector=detector, pairing=pairing, generator="residual")


@pytest.mark.parametrize("generator", names("generator"))
@pytest.mark.parametrize("detector", names("detector"))
def test_every_detector_trains_with_every_generator(detector, generator):
    train_two_steps(detector=detector, generator=generator)


def test_the_table_names_nothing_that_is_gone():
    assert set(SMALL) <= {f"{kind} {n}" for kind in ("detector", "generator") for n in names(kind)}
