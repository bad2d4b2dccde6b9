"""Every setting says what a change of it means."""

from dataclasses import dataclass

import pytest

from lmkit.errors import LmkitError
from lmkit.settings.layers import CORE_SECTIONS
from lmkit.settings.sections import Effect, RunSettings, effects_of, setting


@pytest.mark.parametrize("cls", CORE_SECTIONS.values(), ids=CORE_SECTIONS)
def test_every_field_says_what_a_change_of_it_means(cls):
    effects = effects_of(cls)
    assert list(effects) == list(cls.__dataclass_fields__)


def test_a_field_that_does_not_say_is_named_with_what_to_write():
    @dataclass(frozen=True)
    class Made:
        told: int = setting(1, Effect.SPEED)
        untold: int = 2

    with pytest.raises(TypeError) as caught:
        effects_of(Made)
    assert "Made.untold does not say" in str(caught.value)
    assert "untold: TYPE = setting(DEFAULT, Effect.ONE)" in str(caught.value)
    assert "RESULT" in str(caught.value)


def test_a_setting_has_its_default_as_any_field():
    @dataclass(frozen=True, slots=True)
    class Made:
        rate: float = setting(0.5, Effect.RESULT)

    assert Made() == Made(rate=0.5)
    assert Made(0.25).rate == 0.25
    assert effects_of(Made) == {"rate": Effect.RESULT}


@pytest.mark.parametrize("side", [2**14 + 1, 2**31, 2**62])
def test_squares_that_no_image_could_be_made_are_refused(side):
    with pytest.raises(LmkitError, match=rf"run\.image_size={side} is too large"):
        RunSettings(image_size=side)
    assert RunSettings(image_size=2**14).image_size == 2**14
