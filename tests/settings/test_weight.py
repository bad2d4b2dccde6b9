"""The weight of a loss: a number, or its course over the steps."""

import json
from typing import Any

import pytest

from lmkit.errors import LmkitError
from lmkit.registry.lookup import Registry
from lmkit.settings.changes import effect_of
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.sections import Effect
from lmkit.settings.settings import Settings, resolve
from lmkit.settings.weight import check_weight, weight_at

COURSE = {"from": 0.0, "to": 1.0, "steps": 100, "after": 0, "course": "linear"}


def settled(registry: Registry, *words: str, **tables: Any) -> Settings:
    layers = [
        *read_recipe("reconstruction-quick", registry),
        Layer("file", {"loss": {"mse": tables}}),
        read_assignments(words),
    ]
    return resolve(merge(layers), registry)


def test_a_number_stays_the_number_that_it_is() -> None:
    weight = check_weight(2, "loss.mse")
    assert (weight, weight_at(weight, 0), weight_at(weight, 10**6)) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("course", "at"),
    [
        ({}, {0: 0, 25: 0.25, 100: 1, 5000: 1}),
        ({"after": 50}, {0: 0, 50: 0, 75: 0.25, 150: 1}),
        ({"course": "cosine"}, {0: 0, 50: 0.5, 100: 1}),
        ({"course": "step"}, {0: 0, 99: 0, 100: 1}),
        ({"from": 3.0, "to": 1.0}, {0: 3, 50: 2, 100: 1}),
    ],
)
def test_a_course_is_a_function_of_the_step(course: dict[str, Any], at: dict[int, float]) -> None:
    weight = check_weight(COURSE | course, "loss.mse")
    for step, value in at.items():
        assert weight_at(weight, step) == pytest.approx(value)


def test_a_file_and_set_words_describe_it_together(registry: Registry) -> None:
    settings = settled(
        registry, "loss.mse.weight.steps=500", weight={"from": 0.5, "to": 2, "steps": 9}
    )
    kept = settings.loss["mse"]["weight"]
    assert kept == {"from": 0.5, "to": 2.0, "steps": 500, "after": 0, "course": "linear"}
    # As run.json holds it, and reads it again.
    stored = json.loads(json.dumps(settings.to_dict()))
    assert resolve(stored, registry).to_dict() == stored
    assert settings.flat()["loss.mse.weight.steps"] == 500
    assert effect_of("loss.mse.weight.steps") is Effect.RESULT
    # A number after a course takes its place, and the other way round.
    assert settled(registry, "loss.mse.weight=3", weight=COURSE).loss["mse"]["weight"] == 3.0
    words = ("loss.mse.weight.steps=5", "loss.mse.weight.to=2")
    assert settled(registry, *words, weight=3.0).loss["mse"]["weight"]["to"] == 2.0


@pytest.mark.parametrize(
    ("given", "problem", "remedy"),
    [
        ({"form": 0, "steps": 1}, "has no 'form'", "Did you mean 'from'?"),
        ({"from": 0, "to": 1}, "loss.mse.weight.steps is needed", "steps=1000"),
        ({"steps": 0}, "loss.mse.weight.steps=0 is too small", "at least 1"),
        ({"steps": 9, "after": -1}, "loss.mse.weight.after=-1 is too small", "at least 0"),
        ({"steps": 9, "course": "liner"}, "course=liner is not known", "'linear'"),
        ({"steps": 9, "to": "much"}, "loss.mse.weight.to='much' is not a number", "0.5"),
        ("much", "loss.mse.weight='much' is not a number", "0.5"),
        (float("nan"), "loss.mse.weight=nan is not finite", ""),
    ],
)
def test_what_is_no_weight_is_refused(given: Any, problem: str, remedy: str) -> None:
    with pytest.raises(LmkitError) as caught:
        check_weight(given, "loss.mse")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_another_algorithm_leaves_the_rest_of_the_optimiser_as_it_is(registry: Registry) -> None:
    words = ("optimizer.learning_rate=0.125", "optimizer.detector.frozen_until=3")
    layers = [*read_recipe("reconstruction-quick", registry), read_assignments(words)]
    more = read_assignments(["optimizer.name=adamw", "optimizer.detector.weight_decay=0"])
    settings = resolve(merge([*layers, more]), registry).optimizer
    assert (settings.name, settings.learning_rate) == ("adamw", 0.125)
    assert (settings.detector.frozen_until, settings.detector.weight_decay) == (3, 0)
