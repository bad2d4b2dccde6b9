"""The learning rate over the steps, and the table of its schedules."""

import math

import pytest

from lmkit.errors import LmkitError
from lmkit.registry.options import options_of
from lmkit.settings.optimizer import (
    PARTS,
    SCHEDULES,
    OptimizerSettings,
    Schedule,
    for_batch,
    learning_rate,
)


def test_the_rate_falls_in_steps():
    settings = OptimizerSettings(learning_rate=1.0, schedule="step", decay_every=10)
    assert [learning_rate(settings, step) for step in (0, 9, 10, 25)] == pytest.approx(
        [1, 1, 0.1, 0.01]
    )


def test_the_rate_falls_as_a_cosine_and_stays():
    settings = OptimizerSettings(
        learning_rate=1.0, schedule="cosine", decay_every=10, decay_factor=0.2
    )
    assert [learning_rate(settings, step) for step in (0, 5, 10, 99)] == pytest.approx(
        [1, 0.6, 0.2, 0.2]
    )


def test_the_rate_warms_up():
    settings = OptimizerSettings(learning_rate=1.0, schedule="constant", warmup=4)
    assert [learning_rate(settings, step) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize(
    ("rule", "batch", "rate"),
    [("none", 256, 0.01), ("linear", 256, 0.08), ("linear", 8, 0.0025), ("sqrt", 128, 0.02)],
)
def test_the_rate_follows_the_batch_by_rule(rule, batch, rate):
    settings = OptimizerSettings(learning_rate=0.01, batch_rule=rule, reference_batch=32, warmup=2)
    scaled = for_batch(settings, batch)
    assert [learning_rate(scaled, step) for step in (0, 1)] == pytest.approx([rate / 2, rate])


def test_warm_up_and_schedule_multiply():
    settings = OptimizerSettings(
        learning_rate=0.3, schedule="cosine", decay_every=10, decay_factor=0.2, warmup=4
    )
    cosine = 0.2 + 0.8 * (1 + math.cos(math.pi * 0.2)) / 2
    assert learning_rate(settings, 2) == 0.3 * 0.75 * cosine


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_a_positive_number_at_every_step(name):
    settings = OptimizerSettings(learning_rate=1.0, schedule=name, decay_every=7)
    rates = [learning_rate(settings, step) for step in (*range(30), 10**5)]
    assert all(0 < rate <= 1 for rate in rates[:30])
    assert all(math.isfinite(rate) for rate in rates)


def test_the_choices_are_the_table():
    (option,) = (each for each in options_of(OptimizerSettings, PARTS) if each.name == "schedule")
    assert option.type_name == f"one of {', '.join(SCHEDULES)}"
    assert option.default in SCHEDULES


def test_another_word_is_refused_wherever_it_comes_from(tiny):
    for refused in (
        lambda: tiny("optimizer.schedule=cosin"),
        lambda: OptimizerSettings(schedule="cosin"),
    ):
        with pytest.raises(LmkitError) as caught:
            refused()
        assert f"is not one of {', '.join(SCHEDULES)}" in caught.value.problem
        assert "'cosine'" in caught.value.remedy


@pytest.mark.parametrize(
    "given",
    [
        *("betas=1,2", "betas=-0.1,0.9", "betas=0.5,1", "clip_norm=-1", "clip_norm=0"),
        *("learning_rate=0", "learning_rate=-1", "learning_rate=nan", "weight_decay=-1"),
        *("decay_factor=-0.1", f"decay_every={2**63}", f"warmup={10**400}"),
        *(f"decay_every={'9' * 5000}", "learning_rate=1e400", "betas=nan,0.9"),
    ],
)
def test_what_the_optimiser_would_not_take_is_refused_before_anything_starts(tiny, given):
    with pytest.raises(LmkitError) as caught:
        tiny(f"optimizer.{given}")
    assert caught.value.problem.startswith(f"optimizer.{given.partition('=')[0]}=")
    assert caught.value.remedy


def test_a_schedule_sees_the_step_and_the_settings(monkeypatch):
    seen = []

    def factor(step, settings):
        seen.append((step, settings.decay_every))
        return 0.25

    monkeypatch.setitem(SCHEDULES, "step", Schedule("as a test likes it", factor))
    chosen = OptimizerSettings(learning_rate=2.0, schedule="step", decay_every=3, warmup=4)
    assert learning_rate(chosen, 1) == 0.25
    assert seen == [(1, 3)]
