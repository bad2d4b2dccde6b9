"""Files written so that nothing is lost: aside, flushed, renamed; and files opened and read safely.

Operating systems and file systems differ in what they flush and when they rename. Everything that
lmkit must find again goes through here, so that the differences are known in one place.

What is opened by a name that a user gave, or that was found in a folder, goes through
[open_file][lmkit.storage.open_file]: a pipe would be waited for without end.
"""

import errno
import io
import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

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


def cache_place() -> Path:
    """Return where lmkit keeps what it can make again: ``LMKIT_CACHE``, or the user's folder."""
    if own := os.environ.get("LMKIT_CACHE"):
        return Path(own).expanduser().absolute()
    with suppress(RuntimeError):
        import platformdirs  # Not everything that opens a file asks for it.

        folder = platformdirs.user_cache_path("lmkit", appauthor=False)
        if folder.is_absolute():
            return folder
    # A user without a home, as in some containers; some versions leave "~" as it is.
    return Path(tempfile.gettempdir()) / "lmkit"


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


def storage_error(path: str | Path, error: Exception) -> LmkitError:
    """Return the error for a failed write."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return LmkitError(
        f"{as_name(path)} cannot be written: {reason}.",
        remedy=f"{remedy_for(error)} What was saved before is still there.",
        code=ExitCode.STORAGE,
    )


_ELSEWHERE = "give a folder that can be written"
_DRIVE = f"Look whether the disk or network drive is there and sound, or {_ELSEWHERE}."
_SPACE = "Free some space, or give a folder on another disk."
_PERMISSION = f"Change the permissions, or {_ELSEWHERE}."
_NAME = f"Give a name that this file system takes, or {_ELSEWHERE} on another."
_FILES = "Use fewer --workers, end other programs, or raise the limit of open files (ulimit -n)."
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: f"The limit is the file system's or the shell's (ulimit -f): raise it, or "
    f"{_ELSEWHERE}.",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: f"Nothing can be written on that file system: {_ELSEWHERE} on another.",
    errno.ENAMETOOLONG: "Give a shorter name or a shorter path.",
    errno.EILSEQ: _NAME,
    errno.EINVAL: _NAME,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EIO: _DRIVE,
    errno.ESTALE: _DRIVE,
    errno.ENODEV: _DRIVE,
    errno.ENXIO: _DRIVE,
    errno.ENOTCONN: _DRIVE,
    errno.ETIMEDOUT: _DRIVE,
    errno.ENOTDIR: f"A part of that path is a file and not a folder: {_ELSEWHERE}.",
    errno.EISDIR: f"A folder has that name: move it away, or {_ELSEWHERE}.",
    errno.EEXIST: f"Something else has that name: move it away, or {_ELSEWHERE}.",
    errno.ENOTEMPTY: f"A folder that is not empty has that name: move it away, or {_ELSEWHERE}.",
    errno.ENOENT: f"A folder of that path is gone: make it again, or {_ELSEWHERE}.",
    errno.ELOOP: f"Links of that path lead round in circles: {_ELSEWHERE}.",
    errno.EBUSY: f"Another program is using it: end that, or {_ELSEWHERE}.",
    errno.ETXTBSY: f"Another program is using it: end that, or {_ELSEWHERE}.",
    errno.ENOMEM: "End other programs: there is no memory left.",
}


def remedy_for(error: Exception) -> str:
    """Return what to do about a file that cannot be written, as one sentence.

    Args:
        error: What the system said; no space is missing unless it says so.
    """
    number = getattr(error, "errno", None)
    # Libraries written in Rust put the number into the text.
    if number is None and (told := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(told[1])
    return _REMEDIES.get(number or 0, f"{_ELSEWHERE[0].upper()}{_ELSEWHERE[1:]}.")


def read_error(path: str | Path, error: OSError) -> LmkitError:
    """Return the error for a file of a run that the system keeps from being read.

    Args:
        path: The file.
        error: What the system said. Where [is_refused][lmkit.storage.is_refused] is true of it,
            nothing is known of the file's content.
    """
    refused = error.errno in (errno.EACCES, errno.EPERM)
    remedies = {errno.EMFILE: _FILES, errno.ENFILE: _FILES, errno.ENOMEM: _REMEDIES[errno.ENOMEM]}
    remedy = "Make it readable." if refused else "Look whether the disk or network drive is sound."
    return LmkitError(
        f"{as_name(path)} cannot be read: {error.strerror or error}.",
        remedy=f"{remedies.get(error.errno or 0, remedy)} Then do the same again: nothing says "
        "that the file is damaged.",
        code=ExitCode.RUN,
    )


def is_refused(error: Exception) -> bool:
    """Return whether a file cannot be read for what the system is, and not for what the file is."""
    return isinstance(error, OSError) and (
        is_of_system(error) or error.errno in (errno.EACCES, errno.EPERM)
    )


_OF_SYSTEM = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)
) | {errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ENOMEM, errno.ETIMEDOUT, errno.ENOTCONN}


def is_of_system(error: OSError) -> bool:
    """Return whether the machine's state is what is wrong, wherever the error comes from."""
    return error.errno in _OF_SYSTEM


def is_about_name(error: OSError) -> bool:
    """Return whether a file cannot be written for its name, which says nothing about others."""
    # Windows refuses some names as invalid arguments (22) or as wrong in syntax (123).
    return error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


def as_name(path: str | Path) -> str:
    """Return a path as the text that it is known by, in UTF-8 whatever the locale is.

    Bytes that are no UTF-8 stand in it as Python's surrogates, as they do under a UTF-8 locale, so
    that a file has the same name under every locale.
    """
    text = str(path)
    if _UTF_8:
        return text
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def as_path(name: str) -> str:
    """Return the path of a name: the inverse of [as_name][lmkit.storage.as_name]."""
    if _UTF_8:
        return name
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


_UTF_8 = sys.getfilesystemencoding().lower().replace("-", "") == "utf8"


def open_file(path: str | Path) -> BinaryIO:
    """Open a file for reading; what is no file is refused and never waited for.

    Raises:
        OSError: If it cannot be read, or is a folder, a pipe, a socket or a device; the text of
            that says which.
    """
    # Looked at before, since opening a device may already do something; and afterwards, since
    # something else may lie there by then.
    _need_file(os.stat(path))  # noqa: PTH116
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except BlockingIOError:
        # A file that a network server has leased: it is given back when it is asked for.
        handle = os.open(path, flags)
    try:
        _need_file(os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def open_text(
    path: str | Path,
    *,
    encoding: str = "utf-8",
    errors: str | None = None,
    newline: str | None = "",
) -> TextIO:
    """Open a text file for reading, as [open_file][lmkit.storage.open_file] does.

    Args:
        path: The file.
        encoding: Of its text.
        errors: What is done about bytes that are none, as of Python's ``open``.
        newline: Which ends of lines are changed, as of Python's ``open``; none by default.

    Raises:
        OSError: As ``open_file``.
    """
    return io.TextIOWrapper(open_file(path), encoding=encoding, errors=errors, newline=newline)


def file_stamp(path: str | Path) -> str:
    """Return a text that changes, as good as surely, when a file's content does.

    It is made of the size, the number of the file within its file system, and the times of the last
    change of the content and of all that is known of the file. The times of content can be set, as
    ``cp -p`` and ``rsync -t`` do; those others cannot.

    Raises:
        OSError: If there is no such file.
    """
    status = os.stat(path)  # noqa: PTH116
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _need_file(status: os.stat_result) -> None:
    for is_it, what in _OTHERS:
        if is_it(status.st_mode):
            raise OSError(f"it is a {what}, not a file")


_OTHERS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
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


def clear_aside(aside: Path) -> None:
    """Remove what lies where a file is to be written aside, if it is a pipe, a link or the like.

    Raises:
        OSError: If it cannot be removed: it is a folder.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(aside.lstat().st_mode):
            aside.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all; its line ends are the text's own.

    Raises:
        LmkitError: If it cannot be written.
    """
    aside = path.with_name(f".{path.name}.partial")
    with storage(path):
        try:
            clear_aside(aside)
            # Names of files are written as they are, which may be bytes that are no UTF-8.
            with aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
                flush(file)
            put_in_place(aside, path)
            # Until then a power failure may take back the new name.
            flush_folder(path.parent)
        except OSError:
            with suppress(OSError):
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
        if isinstance(error, OSError) and is_refused(error):
            raise read_error(path, error) from None
        reason = getattr(error, "strerror", None) or error
        raise LmkitError(
            f"{path} cannot be read: {reason}.",
            remedy="The run folder is damaged there; restore the file, or train again.",
            code=ExitCode.RUN,
        ) from None


def load_json(path: Path, *, limit: int | None = None) -> Any:
    """Read a JSON file, which may have come from anywhere, without hanging or filling the memory.

    Args:
        path: The file.
        limit: The bytes of the largest file that is read;
            [LARGEST_JSON][lmkit.storage.LARGEST_JSON] if not given.

    Raises:
        OSError: As [open_file][lmkit.storage.open_file].
        ValueError: If it is larger than that, is nested too deeply, or is not JSON.
    """
    limit = LARGEST_JSON if limit is None else limit
    with open_file(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit:,} bytes")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
