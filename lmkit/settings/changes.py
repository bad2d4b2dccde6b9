"""What follows when a setting differs between two runs, or between a run and its resumption.

What a change of a setting means stands where the setting is defined: on the fields of
[RunSettings][lmkit.settings.sections.RunSettings] and its like, and below for the sections that
choose components. Whoever compares settings asks one of the functions here, each of which reads it
there.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lmkit.errors import ExitCode, LmkitError
from lmkit.settings.layers import COMPONENT_SECTIONS, CORE_SECTIONS, SEVERAL
from lmkit.settings.sections import Effect, effects_of
from lmkit.settings.settings import Settings

_OF_COMPONENTS = {
    **dict.fromkeys((*COMPONENT_SECTIONS, *SEVERAL), Effect.RESULT),
    "data": Effect.DATA,
    "data.path": Effect.PLACE,
    "writer": Effect.NOTHING,
}
"""The effect of the sections that choose components, and of what is special in them."""


def effect_of(key: str) -> Effect:
    """Return what a change of a setting means.

    Args:
        key: As in [flat][lmkit.settings.settings.Settings.flat]: ``section.key``, of losses and
            writers ``section.label.key``.

    Raises:
        KeyError: If there is no such setting.
    """
    section = key.partition(".")[0]
    if section in CORE_SECTIONS:
        # A table in a section, such as optimizer.detector, has one effect.
        return _of_core().get(key) or _of_core()[key.rpartition(".")[0]]
    return _OF_COMPONENTS.get(key) or _OF_COMPONENTS[section]


def may_change_on_resume(key: str) -> bool:
    """Whether a run may go on with another value: it stays the same run."""
    return effect_of(key) in (
        Effect.NOTHING,
        Effect.SPEED,
        Effect.TOLERANCE,
        Effect.LENGTH,
        Effect.PLACE,
    )


def separates_experiments(key: str) -> bool:
    """Whether runs with two values are two experiments, and not one with several seeds."""
    return effect_of(key) in (Effect.RESULT, Effect.LENGTH, Effect.DATA, Effect.PLACE)


def is_of_the_method(key: str) -> bool:
    """Whether another value than a publication's is a deviation from its method.

    The data is apart from it: what a run was trained on says more than its settings.
    """
    return effect_of(key) in (Effect.RESULT, Effect.LENGTH, Effect.CHANCE)


def is_of_the_data(key: str) -> bool:
    """Whether it may be another when a trained run is measured on other data."""
    return effect_of(key) in (Effect.DATA, Effect.PLACE, Effect.TOLERANCE)


def settings_of_the_data() -> list[str]:
    """Return the settings that may be others for other data; ``data.*`` stands for that section."""
    return ["data.*", *(key for key in _of_core() if is_of_the_data(key))]


def refuse_changes(
    former: Settings,
    wanted: Settings,
    path: Path,
    *,
    also: Sequence[str] = (),
    remedy: str = "Resume without them, or start a new run with another --out.",
) -> None:
    """Refuse to go on with a run under other settings than it has.

    Args:
        former: The run's.
        wanted: What is asked for.
        path: The run's folder, for the message.
        also: Settings that may not change here, though they
            [may on resume][lmkit.settings.changes.may_change_on_resume].
        remedy: What to do about it.

    Raises:
        LmkitError: If a setting differs that may not.
    """
    before, after = former.flat(), wanted.flat()
    changed = [
        f"{key} was {before.get(key)} and is to be {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and (key in also or not may_change_on_resume(key))
    ]
    if changed:
        raise LmkitError(
            f"{path} was trained with other settings: {'; '.join(changed)}.",
            remedy=remedy,
            code=ExitCode.RUN,
        )


@cache
def _of_core() -> dict[str, Effect]:
    """Return the effect of every setting that belongs to no component, in the order of the docs."""
    return {
        f"{section}.{name}": effect
        for section, cls in CORE_SECTIONS.items()
        for name, effect in effects_of(cls).items()
    }
