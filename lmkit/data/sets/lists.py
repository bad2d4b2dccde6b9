"""Reads the text files that data comes with, and says where one is malformed."""

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import load_json, open_file

FURTHEST = 10**6
"""The largest coordinate that is believed, in pixels: no image is as wide. What is beyond comes
from another unit or a damaged file, and no longer fits what computes."""
LARGEST_LIST = 2**30
"""The bytes of the largest list, table or file of points that is read: 1 GiB."""
NOT_KNOWN = frozenset(("", "na", "n/a", "nan", "none", "null", "<na>"))
"""What tables write where nothing is known, in lower case: nothing, or what pandas, R and Python
write in its place."""

_NAMED = 3  # how many of many things a message names
_SHOWN = 80  # characters of a text that a message shows
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE | re.ASCII)


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


def read_text(path: Path, what: str = "a list") -> str:
    """Read a text file in UTF-8, without hanging or filling the memory.

    Args:
        path: The file.
        what: What it is to be, for messages.

    Raises:
        LmkitError: If it is no such file, or larger than
            [LARGEST_LIST][lmkit.data.sets.lists.LARGEST_LIST].
    """
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_LIST + 1)
        if len(content) > LARGEST_LIST:
            raise OSError(f"it is larger than {LARGEST_LIST:,} bytes")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a list, without the blank ones at its end.

    Raises:
        LmkitError: If it cannot be read as text in UTF-8.
    """
    lines = read_text(path).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def coordinate(text: str) -> float:
    """Return a coordinate as text says it, in pixels; NaN if the text says that it is not known.

    Raises:
        ValueError: If it is no number, or beyond
            [FURTHEST][lmkit.data.sets.lists.FURTHEST]. The text says which.
    """
    text = text.strip()
    if text.lower() in NOT_KNOWN:
        return math.nan
    # Python itself would read 1_000 as well, and digits of other scripts.
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("which is not a number")
    value = float(text)
    if abs(value) > FURTHEST:
        raise ValueError(f"which is beyond {FURTHEST:,} pixels")
    return value


def announced(text: str) -> int | None:
    """Return the number of entries that a list announces, or None if that is no number."""
    text = text.strip()
    return int(text) if re.fullmatch("[0-9]{1,12}", text, re.ASCII) else None


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
    try:
        return own_field(entry, name, kind)
    except ValueError as error:
        raise malformed(path, where, str(error), "Correct it, or export the file again.") from None


def own_field(entry: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field of one of many entries, which is left out if it is malformed.

    Args:
        entry: The entry.
        name: The field.
        kind: The type or types it must have.

    Raises:
        ValueError: If the entry does not have it, or not of that type. The text says so.
    """
    if not isinstance(entry, Mapping) or name not in entry:
        raise ValueError(f"it has no '{name}'")
    value = entry[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(_KINDS[each] for each in kinds if each is not float)
        raise ValueError(f"its '{name}' is not {wanted}")
    return value


def numbers(
    entry: Any, name: str, shape: tuple[int, ...], *, gaps: bool = False
) -> NDArray[np.float64]:
    """Return a field of an entry of a JSON file that holds numbers of pixels.

    Args:
        entry: The entry.
        name: The field.
        shape: How many numbers it must hold, in nested lists; () for one alone.
        gaps: Whether numbers may be missing (null or NaN), or of any size.

    Raises:
        ValueError: If the entry has no such field, or it does not hold such numbers. The text says
            so.
    """
    value = own_field(entry, name, list if shape else (int, float))
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.full(shape, np.inf)
    if found.shape != shape or np.isinf(found).any() or not (gaps or np.isfinite(found).all()):
        wanted = f"{' x '.join(map(str, shape))} finite numbers" if shape else "a finite number"
        has = f" ({' x '.join(map(str, found.shape))} are there)" if found.shape != shape else ""
        raise ValueError(f"its '{name}' is not {wanted}{has}")
    if not gaps and np.abs(found).max(initial=0) > FURTHEST:
        raise ValueError(f"its '{name}' holds {np.abs(found).max():g}, beyond {FURTHEST:,} pixels")
    return found


def shown(text: object) -> str:
    """Return a text of a file as a message shows it: a line, of some length, that can be printed.

    Names that are no valid Unicode and signs that steer terminals are written as escapes.
    """
    # Other things than texts and numbers may be nested to any depth.
    plain = isinstance(text, (str, Path, int, float))
    line = (str(text) if plain else reprlib.repr(text))[: _SHOWN + 1]
    line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def some(names: Sequence[str]) -> str:
    """Return the first few of the names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(shown, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a number"}


def _unreadable(path: Path, what: str, error: Exception) -> LmkitError:
    reason = shown(getattr(error, "strerror", None) or error)
    return LmkitError(
        f"{path} cannot be read as {what}: {reason}.",
        remedy="Download it again, or save it as plain text in UTF-8.",
        code=ExitCode.DATA,
    )
