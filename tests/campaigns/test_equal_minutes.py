"""Runs of equal minutes: their steps are measured once, written down, and believed if sound."""

import json

import pytest

from lmkit.campaigns.equal_minutes import PLAN, equal_steps
from lmkit.campaigns.sweep import Sweep, recipe_axis
from lmkit.errors import ExitCode, LmkitError


@pytest.fixture
def combinations(registry):
    axis = recipe_axis("imm-quick,quickstart", [], registry)
    return Sweep([], [axis], [], registry).combinations()


def measure(name, settings):
    assert settings.run.steps > 1
    return {"imm-quick": 0.5, "quickstart": 0.1}[name]


def never(name, settings):
    raise AssertionError("what was measured is measured again")


def test_a_method_of_costly_steps_takes_fewer(combinations, tmp_path):
    out = tmp_path / "deep" / "sweep"
    assert equal_steps(combinations, 2, out, measure) == {"imm-quick": 240, "quickstart": 1200}
    assert equal_steps(combinations, 2, out, never) == {"imm-quick": 240, "quickstart": 1200}


def test_a_run_has_one_step_at_least(combinations, tmp_path):
    found = equal_steps(combinations, 1e-6, tmp_path, measure)
    assert set(found.values()) == {1}


@pytest.mark.parametrize("minutes", [0, -3, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(combinations, tmp_path, minutes):
    with pytest.raises(LmkitError, match="is no time to train for"):
        equal_steps(combinations, minutes, tmp_path / "out", measure)
    assert not (tmp_path / "out").exists()


def test_another_sweep_in_the_same_folder_is_refused(combinations, tmp_path):
    equal_steps(combinations, 2, tmp_path, measure)
    with pytest.raises(LmkitError, match="other minutes than 3") as caught:
        equal_steps(combinations, 3, tmp_path, never)
    assert caught.value.code == ExitCode.RUN
    with pytest.raises(LmkitError, match="other combinations"):
        equal_steps({"quickstart": combinations["quickstart"]}, 2, tmp_path, never)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace("240", "2400"),
        lambda text: json.dumps({"minutes": 2, "steps": {"imm-quick": -1, "quickstart": 3}}),
        lambda text: json.dumps({"minutes": 2, "steps": [1]}),
        lambda text: "[]",
    ],
)
def test_a_damaged_plan_is_not_believed(combinations, tmp_path, damage):
    equal_steps(combinations, 2, tmp_path, measure)
    path = tmp_path / PLAN
    path.write_text(damage(path.read_text()))
    with pytest.raises(LmkitError, match=PLAN) as caught:
        equal_steps(combinations, 2, tmp_path, never)
    assert caught.value.remedy
