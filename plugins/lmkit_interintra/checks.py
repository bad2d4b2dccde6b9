"""Refusing option values that have the right type and no sense."""

from lmkit.api import LmkitError


def require(holds: bool, option: str, value: object, *, why: str, remedy: str) -> None:
    """Refuse a value unless a condition holds.

    Args:
        holds: The condition.
        option: Where the option stands in the settings (``detector.depth``).
        value: What was given.
        why: Why it is refused, as the end of a sentence.
        remedy: What to do about it, as one sentence.

    Raises:
        LmkitError: If the condition does not hold.
    """
    if not holds:
        values = value if isinstance(value, tuple) else (value,)
        raise LmkitError(f"{option}={','.join(map(str, values))} is refused: {why}.", remedy=remedy)


def require_spreads(component: str, **options: float | tuple[float, ...]) -> None:
    """Refuse ranges and standard deviations that are negative or not finite.

    Raises:
        LmkitError: If one is.
    """
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        require(
            all(0 <= number < float("inf") for number in values),
            f"{component}.{name}",
            value,
            why="a spread cannot be negative or infinite",
            remedy=f"Give {component}.{name} numbers from 0.",
        )
