"""What follows when a setting differs; resume, compare, reproduce and evaluate ask it here."""

from pathlib import Path

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.settings.changes import (
    effect_of,
    is_of_the_data,
    is_of_the_method,
    may_change_on_resume,
    refuse_changes,
    separates_experiments,
    settings_of_the_data,
)
from lmkit.settings.sections import Effect

PATH = Path("runs/some")


def test_every_setting_of_a_run_has_an_effect(tiny):
    settings = tiny("loss.mse.weight=2", "writer.tensorboard.name=tensorboard")
    effects = {key: effect_of(key) for key in settings.flat()}
    assert {*effects.values()} == set(Effect) - {Effect.PLACE}  # Generated faces lie nowhere.
    assert effects["loss.mse.weight"] is effects["detector.name"] is Effect.RESULT
    assert effects["data.count"] is Effect.DATA
    assert effects["writer.tensorboard.name"] is Effect.NOTHING
    assert effect_of("data.path") is Effect.PLACE


@pytest.mark.parametrize("key", ["run.stpes", "rnu.steps"])
def test_what_is_no_setting_has_no_effect(key):
    with pytest.raises(KeyError):
        effect_of(key)


@pytest.mark.parametrize("key", ["run.compile", "run.device", "loading.cache", "loading.resident"])
def test_what_is_about_speed_makes_no_difference_to_anybody(key):
    assert may_change_on_resume(key)
    assert not separates_experiments(key)
    assert not is_of_the_method(key)
    assert not is_of_the_data(key)


@pytest.mark.parametrize(
    "key", ["run.accumulate", "run.precision", "optimizer.schedule", "loss.mse.weight"]
)
def test_what_is_computed_makes_a_difference_to_everybody(key):
    # Several passes: BatchNorm's statistics are those of a pass.
    assert not may_change_on_resume(key)
    assert separates_experiments(key)
    assert is_of_the_method(key)
    assert not is_of_the_data(key)


def test_runs_that_differ_in_their_seed_are_one_experiment_and_not_one_run():
    assert not separates_experiments("run.seed")
    assert not may_change_on_resume("run.seed")


def test_the_settings_of_the_data_are_listed():
    listed = settings_of_the_data()
    assert listed == ["data.*", "loading.held_out", "loading.split_seed", "loading.max_unreadable"]
    assert all(is_of_the_data(key) for key in ("data.name", "data.path", *listed[1:]))


def test_a_run_goes_on_with_what_makes_it_no_other_run(tiny):
    former = tiny()
    wanted = tiny("run.steps=9", "loading.cache=none", "writer.tensorboard.name=tensorboard")
    refuse_changes(former, wanted, PATH)
    with pytest.raises(LmkitError, match=r"run\.steps was 4 and is to be 9") as caught:
        refuse_changes(former, wanted, PATH, also=("run.steps",), remedy="Ask again.")
    assert "loading.cache" not in caught.value.problem
    assert caught.value.remedy == "Ask again."


def test_all_that_would_make_another_run_are_named(tiny):
    wanted = tiny("run.seed=3", "detector.depth=2", "run.log_every=7")
    with pytest.raises(LmkitError) as caught:
        refuse_changes(tiny(), wanted, PATH)
    assert caught.value.problem == (
        f"{PATH} was trained with other settings: detector.depth was 1 and is to be 2; "
        "run.seed was 0 and is to be 3."
    )
    assert "--out" in caught.value.remedy
    assert caught.value.code is ExitCode.RUN


def test_options_of_another_component_are_named(tiny):
    with pytest.raises(LmkitError, match=r"pairing\.name was inter-intra and is to be intra"):
        refuse_changes(tiny(), tiny("pairing.name=intra"), PATH)
