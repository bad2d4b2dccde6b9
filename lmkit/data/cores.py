"""How many cores this process may use, of those that the machine has."""

import math
import os
from pathlib import Path

_PROC = Path("/proc/self")


def usable_cores() -> int:
    """Return how many cores this process may use; at least 1.

    The least of what the machine has, what this process is tied to (Slurm, ``taskset``), and the
    time that its control groups are given (containers, Slurm), rounded up.
    """
    count = os.cpu_count() or 1
    if hasattr(os, "process_cpu_count"):  # from Python 3.13; it heeds PYTHON_CPU_COUNT as well
        count = min(count, os.process_cpu_count() or count)
    if hasattr(os, "sched_getaffinity"):
        count = min(count, len(os.sched_getaffinity(0)) or count)
    share = quota()
    return max(1, count if share is None else min(count, math.ceil(share)))


def quota(proc: Path = _PROC) -> float | None:
    """Return how many cores' time the control groups of this process are given; None if any.

    Args:
        proc: The process's folder of ``/proc``, with ``cgroup`` and ``mountinfo``.
    """
    try:
        groups = (proc / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    shares = []
    for line in groups:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            kind, read = "cgroup2", _share_of_version_2
        elif "cpu" in controllers.split(","):
            kind, read = "cgroup", _share_of_version_1
        else:
            continue
        for mounted, root in _mounted(mounts, kind):
            # A group is bound by those above it as well.
            folder = mounted / path.removeprefix(root).lstrip("/")
            above = [folder, *folder.parents]
            within = [each for each in above if each.is_relative_to(mounted)]
            shares += [found for each in within or [mounted] if (found := read(each)) is not None]
    return min(shares, default=None)


def _mounted(mounts: list[str], kind: str) -> list[tuple[Path, str]]:
    """Return where a hierarchy of groups is mounted, and which of its groups lies there."""
    found = []
    for line in mounts:
        own, _, rest = line.partition(" - ")
        fields, kinds = own.split(), rest.split()
        of_cpu = kind == "cgroup2" or (len(kinds) > 2 and "cpu" in kinds[2].split(","))
        if len(fields) > 4 and kinds and kinds[0] == kind and of_cpu:
            found.append((Path(fields[4]), fields[3].rstrip("/")))
    return found


def _share_of_version_2(folder: Path) -> float | None:
    try:
        limit, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _share_of_version_1(folder: Path) -> float | None:
    try:
        limit = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return limit / period if limit > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
