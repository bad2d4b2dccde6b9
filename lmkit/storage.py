"""Files written so that nothing is lost: aside, flushed, renamed; and JSON, read within bounds.

Operating systems and file systems differ in what they flush and when they rename. Everything that
lmkit must find again goes through here, so that the differences are known in one place.
"""

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from lmkit.errors import ExitCode, LmkitError

LARGEST_JSON = 2**32
"""The bytes of the largest JSON file that is read: 4 GiB, which no list of images or annotated
objects comes near."""

# What systems answer that cannot flush: some network and FUSE file systems, and macOS on them.
_NO_FLUSH = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS))
# And of folders, which Windows does not even open, and others open but do not flush.
_NO_FOLDER_FLUSH = _NO_FLUSH | {errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}
# Windows: access denied, sharing violation, lock violation. Whoever reads a file, or looks through
# it for viruses, keeps it from being replaced, mostly for milliseconds.
_IN_USE = frozenset((5, 32, 33))
_PATIENCE = 2.0  # seconds


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
        for path in missing:
            # Not empty, or removed by the work itself.
            with suppress(OSError):
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


def flush(file: IO[Any]) -> None:
    """Wait until what was written to an open file is on the disk, where the file system can.

    Args:
        file: A file that is open for writing: Windows flushes no other.

    Raises:
        OSError: If it is not on the disk: that is full, or fails.
    """
    file.flush()
    _sync(file.fileno(), _NO_FLUSH)


def flush_file(path: Path) -> None:
    """Wait until a file that another library wrote and closed is on the disk, as ``flush`` does.

    Raises:
        OSError: If it is not on the disk, or cannot be opened for writing.
    """
    with path.open("r+b") as file:
        flush(file)


def flush_folder(path: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can.

    Raises:
        OSError: If they are not on the disk: that is full, or fails.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_FLUSH:
            return
        raise
    try:
        _sync(handle, _NO_FOLDER_FLUSH)
    finally:
        os.close(handle)


def _sync(handle: int, put_up_with: frozenset[int]) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in put_up_with:
            raise


def put_in_place(aside: Path, path: Path) -> None:
    """Rename a file or folder that is complete, over a file of that name.

    On Windows, which refuses while somebody has the old file open, that is tried for two seconds.

    Raises:
        OSError: If it cannot be renamed.
    """
    end = time.monotonic() + _PATIENCE
    pause = 0.001
    while True:
        try:
            aside.replace(path)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all; its line ends are the text's own.

    Raises:
        LmkitError: If it cannot be written.
    """
    aside = path.with_name(f".{path.name}.partial")
    with storage(path):
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                flush(file)
            put_in_place(aside, path)
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
        LmkitError: If it is missing, is no plain file, is too large, or is not JSON.
    """
    try:
        return load_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LmkitError(
            f"{path} cannot be read: {reason}.",
            remedy="The run folder is damaged there; restore the file, or train again.",
            code=ExitCode.RUN,
        ) from None


def load_json(path: Path) -> Any:
    """Read a JSON file, which may have come from anywhere, without hanging or filling the memory.

    Raises:
        OSError: If it cannot be read, or is a folder, a device or a pipe.
        ValueError: If it is larger than [LARGEST_JSON][lmkit.storage.LARGEST_JSON], is nested too
            deeply, or is not JSON.
    """
    # Looked at before it is opened, which would wait for whoever writes to a pipe.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"it is a {'folder' if path.is_dir() else 'device or pipe'}, not a file")
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON:,} bytes")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
