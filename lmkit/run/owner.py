"""One process trains in a run's folder; another one that wants to is told which and where."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import read_json, write_json

LOCK, OWNER = ".lock", ".owner.json"
"""The files of a run's folder that say whether somebody trains in it, and who."""

_ENDING = 15.0  # seconds that the worker processes of a killed run may take to end


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep every other process from training in a run's folder, for as long as this one does.

    The lock goes with the process, however that ends. Where the file system has no locks, nothing
    is kept from anybody.

    Args:
        folder: The run's, which is there.

    Raises:
        LmkitError: If another process trains in it, with its number and machine.
    """
    lock = FileLock(folder / LOCK, fallback_to_soft=False, preserve_lock_file=True)
    held = _acquire(lock, folder)
    try:
        if held:
            write_json(folder / OWNER, _myself())
        yield
    finally:
        if held:
            with suppress(OSError):
                (folder / OWNER).unlink(missing_ok=True)
            # At once: worker processes that are still ending have it open as well.
            with suppress(OSError):
                lock.release(force=True)


def _acquire(lock: FileLock, folder: Path) -> bool:
    """Take the lock, and return whether there is one to be had."""
    try:
        lock.acquire(timeout=_ENDING if _has_gone(_owner(folder)) else 0)
    except Timeout:
        raise _taken(folder) from None
    except OSError:
        return False
    return True


def _myself() -> dict[str, Any]:
    since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {"process": os.getpid(), "host": socket.gethostname(), "since": since}


def _owner(folder: Path) -> dict[str, Any]:
    """Return what the last owner wrote of itself; nothing if it cannot be read."""
    path = folder / OWNER
    with suppress(LmkitError):
        found = read_json(path) if path.exists() else None
        if isinstance(found, dict):
            return found
    return {}


def _has_gone(owner: dict[str, Any]) -> bool:
    """Return whether an owner was a process of this machine that is no longer there."""
    process = owner.get("process")
    if os.name != "posix" or not isinstance(process, int) or process <= 0:
        return False
    if owner.get("host") != socket.gethostname():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        # No process, or a number that none can have.
        return True
    except OSError:
        return False
    return False


def _taken(folder: Path) -> LmkitError:
    owner = _owner(folder)
    who = f"process {owner['process']}" if "process" in owner else "another process"
    where = f" on {owner['host']}" if "host" in owner else ""
    since = f", since {owner['since']}" if "since" in owner else ""
    return LmkitError(
        f"{folder} is being trained by {who}{where}{since}.",
        remedy="Wait until it has ended, or stop it (Ctrl-C, or kill -TERM) and go on then.",
        code=ExitCode.RUN,
    )
