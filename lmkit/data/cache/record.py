"""What a cache's folder says of itself: its record, the header of its images, its files' names."""

import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from lmkit.storage import load_json

CACHE_FORMAT = 3
"""Of the record and the files that it names; a cache of another one is rebuilt."""
RECORD = "cache.json"
"""The record's name."""
_OWN = re.compile(
    r"\.?cache\.(json|lock)(\.partial)?|images-[0-9a-f]{8}\.(npy|repairs)|table-[0-9a-f]{8}\.bin"
)


class UnusableError(Exception):
    """Why a cache is not used, as the end of a sentence that begins with "it"."""


def load_record(folder: Path) -> dict[str, Any]:
    """Return what a cache says of itself, of whichever version it is.

    Args:
        folder: The cache's folder.

    Raises:
        UnusableError: If there is none, or it is damaged.
    """
    try:
        record = load_json(folder / RECORD)
    except FileNotFoundError:
        raise UnusableError("") from None
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise UnusableError("is damaged") from None
    if not isinstance(record, dict) or "format" not in record:
        raise UnusableError("is damaged")
    return record


def check_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record that has everything that is read of it.

    Raises:
        UnusableError: If it has not.
    """
    kinds = {"made_with": dict, "shape": list, "images": str, "table": str, "label": str}
    right = all(isinstance(record.get(key), kind) for key, kind in kinds.items())
    if right and "table_checksum" in record:
        # Files of its own folder, of the names that are given there, and of no other.
        own = all(_OWN.fullmatch(record[key]) for key in ("images", "table"))
        whole = [size for size in record["shape"] if isinstance(size, int)]
        if own and len(whole) == len(record["shape"]) == 4:
            return record
    raise UnusableError("is damaged")


def read_record(folder: Path) -> dict[str, Any]:
    """Return what a cache says of itself, if it is of this version.

    Args:
        folder: The cache's folder.

    Raises:
        UnusableError: If there is none, or it is damaged, or of another version.
    """
    record = load_record(folder)
    if record["format"] != CACHE_FORMAT:
        raise UnusableError(
            f"was written by another version of lmkit (its format is {record['format']}, and "
            f"here is {CACHE_FORMAT})"
        )
    return check_record(record)


def is_own(path: Path) -> bool:
    """Return whether a file is one of a cache's."""
    return _OWN.fullmatch(path.name) is not None


def read_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Return where the pixels begin in a ``.npy`` file of uint8.

    Args:
        file: The file, at its beginning.
        shape: Of its array.

    Raises:
        UnusableError: If it is damaged, or its array is another one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if npy.read_magic(file) != (1, 0):
                raise ValueError
            found, fortran_order, dtype = npy.read_array_header_1_0(file)
    except OSError:
        raise
    except Exception:
        # It is read as Python's words, and a damaged one is refused in any of Python's ways.
        raise UnusableError("is damaged") from None
    if found != shape or fortran_order or dtype != np.dtype(np.uint8):
        raise UnusableError("is damaged")
    return file.tell()
