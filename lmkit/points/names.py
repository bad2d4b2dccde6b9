"""Columns of tables that hold named points, as ``--data csv:`` reads them."""

from collections.abc import Sequence


def axis_columns(name: str) -> tuple[str, str]:
    """Return the columns of a point's x and y: ``nose_x``, ``nose_y``; of a number ``x0``, ``y0``.

    Args:
        name: The point's.
    """
    if name.isascii() and name.isdigit():
        return f"x{name}", f"y{name}"
    return f"{name}_x", f"{name}_y"


def point_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of some points, x before y."""
    return [column for name in names for column in axis_columns(name)]


def error_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of the standard errors of some points, x before y."""
    return [f"{column}_se" for column in point_columns(names)]
