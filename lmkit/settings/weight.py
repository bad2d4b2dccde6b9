"""The weight of a loss: a number, or its course over the steps.

The course is a function of the step and the settings alone, so that a run can be resumed and be the
same run.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from lmkit.errors import LmkitError, did_you_mean
from lmkit.registry.values import convert

Weight = float | dict[str, Any]
"""A number, or ``from``, ``to``, ``steps``, ``after`` and ``course`` by name."""

COURSES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: done,
    "cosine": lambda done: (1 - math.cos(math.pi * done)) / 2,
    "step": lambda done: float(done >= 1),
}
"""How a weight goes from one value to another: from the share of steps done to that of the way."""

_KEYS: dict[str, tuple[Any, Any]] = {
    "from": (float, 0.0),
    "to": (float, 1.0),
    "steps": (int, None),
    "after": (int, 0),
    "course": (str, "linear"),
}
"""What a course is described by: types and defaults; None where one has to be given."""


def check_weight(given: Any, section: str) -> Weight:
    """Return a weight as it is kept: a number, or a course with every default filled in.

    Args:
        given: A number, or a table; typed or not.
        section: The loss's, for messages (``loss.mse``).

    Raises:
        LmkitError: If it is neither, or something in the table is unknown or out of range.
    """
    where = f"{section}.weight"
    if not isinstance(given, Mapping):
        number: float = convert(given, float, where=where)
        return number
    for key in given:
        if key not in _KEYS:
            raise LmkitError(
                f"{where}.{key}: a weight that changes has no '{key}'.",
                remedy=did_you_mean(key, _KEYS, all_of_them="It has"),
            )
    course: dict[str, Any] = {}
    for key, (kind, default) in _KEYS.items():
        if key not in given and default is None:
            raise LmkitError(
                f"{where}.{key} is needed: the number of steps from one weight to the other.",
                remedy=f"Give it with --set {where}.{key}=1000.",
            )
        course[key] = convert(given.get(key, default), kind, where=f"{where}.{key}")
    if course["course"] not in COURSES:
        raise LmkitError(
            f"{where}.course={course['course']} is not known.",
            remedy=did_you_mean(course["course"], COURSES, all_of_them="There are"),
        )
    for key, least in (("steps", 1), ("after", 0)):
        if course[key] < least:
            raise LmkitError(
                f"{where}.{key}={course[key]} is too small.",
                remedy=f"Give a number of at least {least}.",
            )
    return course


def weight_at(weight: Weight, step: int) -> float:
    """Return the weight of a step, counted from 0."""
    if not isinstance(weight, dict):
        return weight
    done = min(1.0, max(0.0, (step - weight["after"]) / weight["steps"]))
    way = COURSES[weight["course"]](done)
    low, high = weight["from"], weight["to"]
    return float(low + (high - low) * way)
