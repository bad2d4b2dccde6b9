"""What a step leaves behind where its update is skipped."""

import contextlib
import math

import pytest
import torch

from lmkit.data.loading import Batch
from lmkit.runtime.assemble import assemble
from lmkit.training.learner import Learner, Objective, Updater
from lmkit.training.processes import ALONE


def take(assembly, settings, spoil):
    """Take a step in whose forward pass the detector sees a value that is not finite, or not."""
    updater = Updater(assembly, settings.optimizer)
    objective = Objective(assembly, 0, contextlib.nullcontext)
    learner = Learner(objective, updater, ALONE, batch_size=4, accumulate=1)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    hook = assembly.detector.register_forward_pre_hook(lambda _, given: (given[0] * spoil,))
    images = torch.randint(
        0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    # Not the first step, in which a component is blamed for such values.
    learned = learner.learn(Batch(images), 1)
    _, skipped = updater.apply(learned.loss, 1)
    learner.undo(skipped)
    hook.remove()
    after = objective.state_dict()
    return bool(skipped), {name for name, value in before.items() if not value.equal(after[name])}


@pytest.mark.parametrize("spoil", [math.nan, math.inf])
def test_a_skipped_step_leaves_everything_as_it_was(tiny, registry, spoil):
    settings = tiny("pairing.name=intra")
    assembly = assemble(settings, registry)
    assembly.train()
    assert take(assembly, settings, spoil) == (True, set())


def test_a_step_that_counts_keeps_its_running_statistics(tiny, registry):
    settings = tiny("pairing.name=intra")
    assembly = assemble(settings, registry)
    assembly.train()
    skipped, changed = take(assembly, settings, 1.0)
    assert not skipped
    assert any(name.endswith("running_mean") for name in changed)
    assert any(name.endswith("num_batches_tracked") for name in changed)
