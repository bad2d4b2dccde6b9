"""What fields of settings share: what a change of one means, and a check of their size."""

from collections.abc import Mapping
from dataclasses import field, fields
from enum import Enum
from typing import Any, TypeVar

from lmkit.errors import LmkitError

T = TypeVar("T")


class Effect(Enum):
    """What it means when two runs, or a run and its resumption, differ in a setting.

    [changes][lmkit.settings.changes] says what follows from it: whether a resumed run may have
    another value, whether two values are two experiments, and so on.
    """

    NOTHING = "nothing"
    """What is shown, kept and passed on; training and results are the same."""
    SPEED = "speed"
    """How fast it goes, and how much memory it takes; results agree up to rounding."""
    RESULT = "result"
    """What is computed."""
    CHANCE = "chance"
    """Which of many equally good random draws is taken."""
    LENGTH = "length"
    """How long training goes on, and nothing of the steps before."""
    DATA = "data"
    """Which images train, fit and test."""
    PLACE = "place"
    """Where the data lies, which may be the same images or others."""
    TOLERANCE = "tolerance"
    """Which flaws of the data end a run; what is computed of the rest is the same."""


def setting(default: T, effect: Effect) -> T:
    """Define a field of a record of settings.

    Args:
        default: Its value where nothing is given.
        effect: What a change of it means.

    Returns:
        What [dataclasses.field][] returns; to a type checker, the default.
    """
    return field(default=default, metadata={"effect": effect})


def effects_of(cls: type) -> dict[str, Effect]:
    """Return what a change of each field of a record of settings means.

    Args:
        cls: A dataclass whose fields are all defined by [setting][lmkit.settings.fields.setting].

    Raises:
        TypeError: If a field does not say.
    """
    found: dict[str, Effect] = {}
    for each in fields(cls):
        effect = each.metadata.get("effect")
        if not isinstance(effect, Effect):
            raise TypeError(
                f"{cls.__name__}.{each.name} does not say what a change of it means. Write "
                f"{each.name}: TYPE = setting(DEFAULT, Effect.ONE), where ONE is one of "
                f"{', '.join(Effect.__members__)}; lmkit/settings/fields.py explains them."
            )
        found[each.name] = effect
    return found


def check_at_least(section: str, settings: Any, least: Mapping[str, int]) -> None:
    """Refuse settings that are too small.

    Args:
        section: Their section, for the message.
        settings: A record of settings.
        least: The least value of each that has one.

    Raises:
        LmkitError: If one is smaller.
    """
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in least and value < least[item.name]:
            raise LmkitError(
                f"{section}.{item.name}={value} is too small.",
                remedy=f"Give a number of at least {least[item.name]}.",
            )
