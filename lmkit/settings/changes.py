"""What it means when a setting differs between two runs, or between a run and its resumption."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lmkit.errors import ExitCode, LmkitError
from lmkit.settings.settings import Settings

MAY_CHANGE = (
    "run.steps",
    "run.device",
    "run.compile",
    "run.checkpoint_every",
    "run.keep",
    "run.log_every",
    "run.sheet_every",
    "loading.workers",
    "loading.max_unreadable",
    "loading.cache",
    "loading.resident",
    "data.path",
    "writer.*",
)
"""The settings that may differ when a run is resumed: they do not change what it computes.
``*`` stands for anything."""


def refuse_changes(
    former: Settings,
    wanted: Settings,
    path: Path,
    *,
    also: Sequence[str] = (),
    remedy: str = "Resume without them, or start a new run with another --out.",
) -> None:
    """Refuse to go on with a run under other settings than it has.

    Args:
        former: The run's.
        wanted: What is asked for.
        path: The run's folder, for the message.
        also: Settings of [MAY_CHANGE][lmkit.settings.changes.MAY_CHANGE] that may not change here.
        remedy: What to do about it.

    Raises:
        LmkitError: If a setting differs that may not.
    """
    before, after = former.flat(), wanted.flat()
    free = set(MAY_CHANGE) - set(also)
    changed = [
        f"{key} was {before.get(key)} and is to be {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not any(fnmatchcase(key, each) for each in free)
    ]
    if changed:
        raise LmkitError(
            f"{path} was trained with other settings: {'; '.join(changed)}.",
            remedy=remedy,
            code=ExitCode.RUN,
        )


NO_EFFECT = frozenset(MAY_CHANGE) - {"run.steps", "data.path"}
"""Settings that change nothing about what a run learns."""


WITHOUT_EFFECT = (
    "run.checkpoint_every",
    "run.device",
    "run.keep",
    "run.log_every",
    "run.sheet_every",
    "loading.crop_margin",
    "loading.crop_share",
    "loading.held_out",
    "loading.split_seed",
    "loading.max_unreadable",
    "loading.workers",
)
"""Settings that change nothing of what a run computes, or only with others that are told of."""


def affects_results(key: str) -> bool:
    """Return whether a setting may change what a run computes.

    Args:
        key: ``section.key``, such as ``optimizer.betas``. Where a setting works only together with
            another one that does, such as the margin of a crop, the answer is no.
    """
    return key not in WITHOUT_EFFECT
