import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import floats, none, sampled_from, tuples

from lmkit.errors import LmkitError
from lmkit.runtime.assemble import assemble
from lmkit.settings.optimizer import (
    OptimizerSettings,
    PartSettings,
    for_batch,
    learning_rate,
    rates,
)
from lmkit.training.learner import Updater


@pytest.fixture
def networks(tiny, registry):
    assembly = assemble(tiny(), registry)
    return assembly, Updater(assembly, OptimizerSettings(clip_norm=0.5))


def update(updater, loss, step):
    updater.backward(loss)
    return updater.apply(loss, step)


def snapshot(assembly):
    return [p.detach().clone() for _, net in assembly.networks() for p in net.parameters()]


def total(assembly):
    return torch.stack([p.sum() for p in snapshot(assembly)]).sum()


def loss_of(assembly, factor):
    return factor * sum((p**2).sum() for _, net in assembly.networks() for p in net.parameters())


def test_a_finite_update_moves_the_weights(networks):
    assembly, updater = networks
    before = snapshot(assembly)
    norms, skipped = update(updater, loss_of(assembly, 1.0), 0)
    assert skipped.item() == 0
    assert set(norms) == {"detector", "generator"}
    assert not all(torch.equal(a, b) for a, b in zip(before, snapshot(assembly), strict=True))


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_an_update_that_is_not_finite_changes_nothing(networks, factor):
    assembly, updater = networks
    update(updater, loss_of(assembly, 1.0), 0)
    weights = snapshot(assembly)
    moments = {
        (index, key): value.clone()
        for index, own in updater.optimizer.state_dict()["state"].items()
        for key, value in own.items()
    }
    _, skipped = update(updater, loss_of(assembly, factor), 1)
    assert skipped.item() == 1
    assert all(torch.equal(a, b) for a, b in zip(weights, snapshot(assembly), strict=True))
    after = updater.optimizer.state_dict()["state"]
    assert all(torch.equal(value, after[i][key]) for (i, key), value in moments.items())


def test_each_step_has_the_rate_of_its_schedule(networks):
    assembly, _ = networks
    settings = OptimizerSettings(learning_rate=0.5, schedule="step", decay_every=2, warmup=4)
    updater = Updater(assembly, settings)
    rates = []
    for step in range(4):
        update(updater, loss_of(assembly, 1.0), step)
        rates.append({group["lr"] for group in updater.optimizer.param_groups})
    assert rates == [{learning_rate(settings, step)} for step in range(4)]


def test_each_network_is_clipped_by_itself(networks):
    assembly, _ = networks
    # Without momentum and decay, Adam's first moment is the gradient it was given.
    settings = OptimizerSettings(clip_norm=0.5, betas=(0.0, 0.9), weight_decay=0.0)
    updater = Updater(assembly, settings)
    update(updater, loss_of(assembly, 100.0), 0)
    state = updater.optimizer.state
    for parameters in updater.networks.values():
        norm = torch.stack([state[p]["exp_avg"].norm() for p in parameters]).norm()
        assert norm.item() == pytest.approx(0.5, rel=1e-3)


def test_gradients_of_several_losses_add_up_to_one_update(tiny, registry):
    states = []
    for parts in ([1.0], [0.25, 0.75]):
        assembly = assemble(tiny(), registry)
        updater = Updater(assembly, OptimizerSettings())
        for part in parts:
            loss = loss_of(assembly, part)
            updater.backward(loss)
        updater.apply(loss, 0)
        assert all(p.grad is None for own in updater.networks.values() for p in own)
        states.append(snapshot(assembly))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*states, strict=True))


def test_a_detector_without_trainable_parameters_is_refused(tiny, registry):
    assembly = assemble(tiny(), registry)
    assembly.detector.requires_grad_(False)
    with pytest.raises(LmkitError, match="no parameter that trains"):
        Updater(assembly, OptimizerSettings())


@given(
    name=sampled_from(["adam", "adamw"]),
    learning_rate=floats(1e-300, 1e300),
    betas=tuples(floats(0, 1, exclude_max=True), floats(0, 1, exclude_max=True)),
    weight_decay=floats(0, 1e300),
    clip_norm=none() | floats(1e-300, 1e300),
)
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_what_settings_do_not_refuse_the_optimiser_takes(**chosen):
    network = torch.nn.Linear(1, 1)
    assembly = SimpleNamespace(trainable=lambda: {"detector": [*network.parameters()]})
    updater = Updater(assembly, OptimizerSettings(**chosen))
    loss = network(torch.ones(1, 1)).sum()
    updater.backward(loss)
    _, skipped = updater.apply(loss, 0)
    assert not skipped


def test_a_part_may_have_a_rate_and_decay_of_its_own(tiny, registry):
    assembly = assemble(tiny(), registry)
    own = PartSettings(learning_rate=1e-5, weight_decay=0.0)
    settings = OptimizerSettings(learning_rate=1e-3, weight_decay=0.5, detector=own, warmup=2)
    updater = Updater(assembly, settings)
    update(updater, loss_of(assembly, 1.0), 0)
    groups = {
        each["name"]: (each["lr"], each["weight_decay"]) for each in updater.optimizer.param_groups
    }
    assert groups == {"detector": (5e-6, 0.0), "generator": (5e-4, 0.5)}
    assert rates(settings, 5) == {"learning_rate": 1e-3, "learning_rate/detector": 1e-5}
    larger = for_batch(OptimizerSettings(batch_rule="linear", detector=own), 64)
    assert (larger.learning_rate, larger.detector.learning_rate) == (2e-3, 2e-5)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_part_stays_as_it_is_until_it_is_its_turn(tiny, registry, name):
    assembly = assemble(tiny(), registry)
    settings = OptimizerSettings(name=name, detector=PartSettings(frozen_until=3))
    updater = Updater(assembly, settings)
    first = [p.detach().clone() for p in assembly.detector.parameters()]
    drawn = [p.detach().clone() for p in assembly.generator.parameters()]
    for step in range(3):
        update(updater, loss_of(assembly, 1.0), step)
        assert all(map(torch.equal, first, assembly.detector.parameters()))
    assert not all(map(torch.equal, drawn, assembly.generator.parameters()))
    update(updater, loss_of(assembly, 1.0), 3)
    assert not all(map(torch.equal, first, assembly.detector.parameters()))


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"learning_rate": 0.0}, "optimizer.losses.learning_rate=0.0 is not above 0"),
        ({"frozen_until": -1}, "optimizer.losses.frozen_until=-1 is too small"),
        ({"weight_decay": -0.1}, "optimizer.losses.weight_decay=-0.1 is too small"),
    ],
)
def test_what_a_part_cannot_learn_by_is_refused(part, problem):
    with pytest.raises(LmkitError, match=problem):
        OptimizerSettings(losses=PartSettings(**part))


def test_a_part_is_set_like_anything_else(tiny):
    words = ("optimizer.detector.learning_rate=1e-4", "optimizer.generator.frozen_until=7")
    made = tiny(*words)
    assert made.optimizer.detector == PartSettings(learning_rate=1e-4)
    assert made.flat()["optimizer.generator.frozen_until"] == 7
    with pytest.raises(LmkitError, match=r"PartSettings has no option 'rate'"):
        tiny("optimizer.detector.rate=1")
    with pytest.raises(LmkitError, match=r"optimizer\.detector is a single value"):
        tiny("optimizer.detector=1")
