"""Reads the text files that data comes with, and says where one is malformed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import load_json, open_text

_NAMED = 3  # how many of many things a message names


def malformed(path: Path, where: int | str, problem: str, remedy: str) -> LmkitError:
    """Return the error of a file whose content is not as it should be.

    Args:
        path: The file.
        where: The line, counted from 1, or the name of the entry.
        problem: What is wrong there.
        remedy: What to do.
    """
    place = f"line {where}" if isinstance(where, int) else where
    return LmkitError(f"{path}, {place}: {problem}.", remedy=remedy, code=ExitCode.DATA)


def missing_error(what: str, remedy: str) -> LmkitError:
    """Return the error of data that lacks a file or folder; ``what`` is a sentence without stop."""
    return LmkitError(f"{what}.", remedy=remedy, code=ExitCode.DATA)


def read_lines(path: Path) -> list[str]:
    """Read the lines of a list, without the blank ones at its end.

    Raises:
        LmkitError: If it cannot be read as text in UTF-8.
    """
    try:
        with open_text(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, "a list", error) from error
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_annotation_file(path: Path) -> Any:
    """Read a JSON file of annotation.

    Raises:
        LmkitError: If it cannot be read, or is no JSON; with the line where it ends to be one.
    """
    try:
        return load_json(path)
    except json.JSONDecodeError as error:
        raise malformed(
            path, error.lineno, f"it is not JSON ({error.msg})", "Export or download it again."
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, "JSON", error) from error


def field(path: Path, where: str, entry: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field of an entry of a JSON file.

    Args:
        path: The file.
        where: The name of the entry.
        entry: The entry.
        name: The field.
        kind: The type or types it must have.

    Raises:
        LmkitError: If the entry does not have it, or not of that type.
    """
    if not isinstance(entry, Mapping) or name not in entry:
        raise malformed(path, where, f"it has no '{name}'", "Add it, or export the file again.")
    value = entry[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(_KINDS[each] for each in kinds if each is not float)
        raise malformed(path, where, f"its '{name}' is not {wanted}", "Correct the entry.")
    return value


def numbers(
    path: Path, where: str, entry: Any, name: str, shape: tuple[int, ...], remedy: str
) -> NDArray[np.float64]:
    """Return a field of an entry of a JSON file that holds finite numbers.

    Args:
        path: The file.
        where: The name of the entry.
        entry: The entry.
        name: The field.
        shape: How many numbers it must hold, in nested lists; () for one alone.
        remedy: What to do if it does not.

    Raises:
        LmkitError: If the entry has no such field, or it does not hold such numbers.
    """
    value = field(path, where, entry, name, list if shape else (int, float))
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(shape, np.nan)
    if found.shape != shape or not np.isfinite(found).all():
        wanted = f"{' x '.join(map(str, shape))} finite numbers" if shape else "a finite number"
        has = f" ({' x '.join(map(str, found.shape))} are there)" if found.shape != shape else ""
        raise malformed(path, where, f"its '{name}' is not {wanted}{has}", remedy)
    return found


def some(names: Sequence[str]) -> str:
    """Return the first few of the names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(shown, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def shown(name: str) -> str:
    """Return a name as it can be printed on one line, on any terminal that shows its letters."""
    return name if name.isprintable() else ascii(name)[1:-1]


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a number"}


def _unreadable(path: Path, what: str, error: Exception) -> LmkitError:
    return LmkitError(
        f"{path} cannot be read as {what}: {error}.",
        remedy="Download it again, or save it as plain text in UTF-8.",
        code=ExitCode.DATA,
    )
