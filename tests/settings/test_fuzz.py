"""Settings that nobody meant: all are taken or refused in words, whatever they are and hold."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.values import Text
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe, read_toml
from lmkit.settings.optimizer import learning_rate
from lmkit.settings.settings import resolve
from lmkit.training.learner import Updater

RECIPES = ("quickstart", "photos", "paper", "imm-quick", "dve-quick", "pretrain-quick")

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, 1e39, 1e308, 5e-324, -0.0]),
)
WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "nan", "inf", "1e400", "9" * 5000, "1_0", "none", "true", "a,b", "0.1,"]),
    st.sampled_from(["\0", "\ud800", "../" * 100, "n" * 300, "name:x", "photos/", "[]", "٣"]),
    NUMBERS.map(str),
    st.lists(NUMBERS, max_size=4).map(lambda them: ",".join(map(str, them))),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, WORDS.map(Text)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
COUNT = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(COUNT, max_examples=5_000)


class Networks:
    """What an optimiser asks of a run's networks."""

    def trainable(self):
        return {"detector": list(torch.nn.Linear(1, 1).parameters())}


def places(registry, recipe):
    """Return each place of a recipe where a value stands, and some where none does."""
    full = resolve(merge(read_recipe(recipe, registry)), registry).to_dict()
    found = [(section, key) for section, table in full.items() for key in table]
    found += [(section, "nosuch") for section in full]
    found += [("loss", label, key) for label, table in full["loss"].items() for key in table]
    return [*found, ("nosuch", "key"), ("run",), ("loss",), ("optimizer",)]


def layer_of(place, value):
    for key in reversed(place):
        value = {key: value}
    return Layer("fuzzed", value) if isinstance(value, dict) else Layer("fuzzed", {})


def taken(read, *given):
    """Return what is read; None where it is refused as it should be."""
    refused = None
    try:
        return read(*given)
    except LmkitError as error:
        refused = error
    assert refused.code in (ExitCode.USAGE, ExitCode.DATA), refused
    assert refused.remedy
    assert len(str(refused)) < 20_000
    return None


def settle(layers, registry):
    """Settle settings, and hold those that are taken to what follows from that."""
    settled = taken(lambda: resolve(merge(layers), registry))
    if settled is None:
        return
    # What is taken is written to run.json and read again, the same.
    again = resolve(merge([Layer("run.json", settled.to_dict(), source="run")]), registry)
    assert again.to_dict() == settled.to_dict()
    # Whatever is accepted, the optimiser accepts.
    Updater(Networks(), settled.optimizer)
    for step in (0, 1, settled.run.steps - 1):
        assert math.isfinite(learning_rate(settled.optimizer, step))


def check_values(registry, data):
    recipe = data.draw(st.sampled_from(RECIPES))
    layers = read_recipe(recipe, registry)
    chosen = st.lists(st.sampled_from(places(registry, recipe)), min_size=1, max_size=3)
    for place in data.draw(chosen):
        layers.append(layer_of(place, data.draw(VALUES)))
    settle(layers, registry)


def check_words(registry, data):
    recipe = data.draw(st.sampled_from(RECIPES))
    known = [".".join(place) for place in places(registry, recipe)]
    word = st.builds("{}{}{}".format, st.one_of(st.sampled_from(known), st.text(max_size=9)),
                     st.sampled_from(["=", "=", "=", "", "=="]), WORDS)  # fmt: skip
    layer = taken(read_assignments, data.draw(st.lists(word, min_size=1, max_size=3)))
    if layer is not None:
        settle([*read_recipe(recipe, registry), layer], registry)


TOML = """
based_on = "quickstart"
losses = ["mse"]
[run]
steps = 3
landmarks = 5
[detector]
name = "hourglass"
stride = 2
[deformation]
rotation = [1.0, 2.0]
[loss.mse]
weight = 2.0
"""


def check_files(registry, data):
    text = TOML
    for _ in range(data.draw(st.integers(1, 3))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        put = data.draw(st.one_of(WORDS, st.sampled_from([text[start:end] * 2, "\n[", "=", "#"])))
        end = min(end, start + data.draw(st.integers(0, 30)))
        text = text[:start] + put + text[end:]
    layers = taken(read_toml, text, "--config file.toml", registry)
    if layers is not None:
        settle(layers, registry)


CHECKS = [check_values, check_words, check_files]


@pytest.mark.parametrize("check", CHECKS)
def test_whatever_is_set_is_taken_or_refused(registry, check):
    COUNT(given(st.data())(lambda data: check(registry, data)))()


@pytest.mark.campaign
@pytest.mark.parametrize("check", CHECKS)
def test_whatever_is_set_is_taken_or_refused_many_times(registry, check):
    MANY(given(st.data())(lambda data: check(registry, data)))()
