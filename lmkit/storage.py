"""Files written so that nothing is lost: aside, flushed, renamed; and JSON."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn a failed write into an error that names the path.

    Raises:
        LmkitError: If the body raises ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder before the work that fills it, so that nobody works in vain.

    Where the work fails, what was made and is still empty is removed: nothing is left behind.

    Raises:
        LmkitError: If it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def storage_error(path: Path, error: Exception) -> LmkitError:
    """Return the error for a failed write."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return LmkitError(
        f"{path} cannot be written: {reason}.",
        remedy="Free some space, or give a folder that can be written. "
        "What was saved before is still there.",
        code=ExitCode.STORAGE,
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all.

    Raises:
        LmkitError: If it cannot be written.
    """
    aside = path.with_name(f".{path.name}.partial")
    with storage(path):
        try:
            with aside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file so that it is there whole or not at all.

    Raises:
        LmkitError: If it cannot be written.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        LmkitError: If it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LmkitError(
            f"{path} cannot be read: {error}.",
            remedy="The run folder is damaged there; restore the file, or train anew.",
            code=ExitCode.RUN,
        ) from None
