"""Checks that several records of settings share."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lmkit.errors import LmkitError


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
