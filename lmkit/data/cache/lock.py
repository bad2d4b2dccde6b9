"""The lock of a cache's folder: one process builds or removes it, others wait or are told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lmkit.data.starting import refuse_rerun
from lmkit.storage import storage

LOCK = "cache.lock"
"""The file's name. It stays beside a cache, and goes with a folder that has nothing else in it."""


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold a cache's lock, which goes with the process however that ends.

    A folder that holds nothing but the lock when it is let go of is removed.

    Args:
        folder: The cache's folder, which is there.
        waiting: Called where another process holds it, before waiting for that.

    Yields:
        Whether it is held; some network file systems have no locks. Two that build at once both do
        it there, and the last one stays.

    Raises:
        LmkitError: If the folder cannot be written.
    """
    refuse_rerun()
    with storage(folder):
        (folder / LOCK).open("ab").close()
    # A lock that is nothing but a file, which is what filelock falls back to, would outlive a
    # process that is killed, and be waited for ever after.
    lock = FileLock(folder / LOCK, fallback_to_soft=False, preserve_lock_file=True)
    held = _acquire(lock, folder, waiting)
    try:
        yield held
    finally:
        refused = _remove_if_empty(folder)
        # At once: worker processes that are still ending have it open as well.
        with suppress(OSError):
            lock.release(force=True)
        if refused:
            _remove_if_empty(folder)


def _acquire(lock: FileLock, folder: Path, waiting: Callable[[], None]) -> bool:
    timeout = 0.0
    for _ in range(10):
        try:
            lock.acquire(timeout=timeout)
            return True
        except Timeout:
            waiting()
            timeout = -1  # for ever
        except FileNotFoundError:
            # Whoever held it removed a folder that came to nothing.
            with storage(folder):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            break
    return False


def _remove_if_empty(folder: Path) -> bool:
    """Remove a folder of nothing but the lock, and return whether the system refuses for now.

    Windows removes no file that is open, as the lock is while it is held.
    """
    with suppress(OSError):
        if all(path.name == LOCK for path in folder.iterdir()):
            try:
                (folder / LOCK).unlink(missing_ok=True)
            except PermissionError:
                return True
            folder.rmdir()
    return False
