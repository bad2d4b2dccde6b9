"""A run's records: small JSON files that are believed, each with a checksum of its own.

The checksum stands in the record's first line, so that whoever changes a record on purpose takes it
out by removing that line. A record without one is of a run from before there were any, or was
changed on purpose; its content is checked as every other's.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmkit.storage import LARGEST_JSON, load_json, write_json

CHECKSUM = "checksum"
"""The key of a record that holds the checksum of all else in it."""
LARGEST_RECORD = 2**24
"""The bytes of the largest record that is read, unless it lists images: 16 MiB."""
DEEPEST = 32
"""How deeply lists and tables may lie in each other. Settings need four levels."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_COUNT = 2**63 - 1
"""What counts steps and bytes has 64 bits."""


class ChangedError(ValueError):
    """The content of a record is not what its checksum is of."""


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record, with its checksum, so that it is there whole or not at all.

    Args:
        path: The file.
        content: JSON values by key; a checksum in it is replaced.

    Raises:
        LmkitError: If it cannot be written.
    """
    # As it will be read, where every key is text.
    plain = json.loads(json.dumps(content))
    plain.pop(CHECKSUM, None)
    write_json(path, {CHECKSUM: checksum(plain), **plain})


def load_record(path: Path, *, largest: int = LARGEST_RECORD) -> dict[str, Any]:
    """Read a record, whose content is what was written as far as its checksum can tell.

    Args:
        path: The file.
        largest: The bytes that it may have.

    Returns:
        Its content, without the checksum.

    Raises:
        OSError: If it cannot be read, or is no file.
        ValueError: If it is too large, nested too deeply, no JSON, or no table.
        ChangedError: If its checksum differs.
    """
    if path.stat().st_size > min(largest, LARGEST_JSON):
        raise ValueError(f"it is larger than {largest:,} bytes")
    content = load_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"it holds no table of values, but {_in_words(content)}")
    _refuse_deep(content)
    if CHECKSUM in content and content.pop(CHECKSUM) != checksum(content):
        raise ChangedError("it was changed after it was written (its checksum differs)")
    return content


def checksum(content: Mapping[str, Any]) -> str:
    """Return the checksum of a record's content: of its values and their order, not its layout."""
    text = json.dumps(content, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def describe_file(file: Path) -> dict[str, Any]:
    """Return what a record says of another file: its ``bytes`` and ``sha256``."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def describes_file(entry: Any) -> bool:
    """Return whether a value of a record is what ``describe_file`` returns."""
    if not isinstance(entry, dict) or not is_count(entry.get("bytes")):
        return False
    return _SHA256.fullmatch(str(entry.get("sha256"))) is not None


def differs(file: Path, entry: Mapping[str, Any]) -> str | None:
    """Return how a file differs from what a record says of it; None if it does not.

    Args:
        file: The file.
        entry: What ``describe_file`` returned of it.

    Raises:
        OSError: If it cannot be read.
    """
    size = file.stat().st_size
    if size != entry["bytes"]:
        return f"it has {size:,} bytes, of {entry['bytes']:,} that were written"
    return None if describe_file(file)["sha256"] == entry["sha256"] else "its SHA-256 differs"


def is_count(value: Any) -> bool:
    """Return whether a value of a record is a whole number of at least 0, of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT


def _refuse_deep(content: dict[str, Any]) -> None:
    """Refuse what is nested so deeply that walking through it would fail."""
    level: list[Any] = [content]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for each in level:
            values = each.values() if isinstance(each, dict) else each
            for value in values:
                if isinstance(value, (dict, list)):
                    inner.append(value)
        if not inner:
            return
        level = inner
    raise ValueError("it is nested too deeply")


def _in_words(value: Any) -> str:
    words = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")
