"""What ``lmkit reproduce`` and ``lmkit sweep`` tell of the runs they train, one after the other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkit.campaigns.campaign import CampaignObserver


def telling(write: Callable[[], object]) -> "CampaignObserver":
    """Return who tells of a campaign on stderr.

    Args:
        write: Called after each run: writes what is known so far.
    """
    from lmkit.campaigns.campaign import Benchmark as Measured
    from lmkit.campaigns.campaign import CampaignObserver, Entry
    from lmkit.cli.terminal import NOTES, CountingProgress, TrainingProgress
    from lmkit.runtime.observer import Observer

    class Told(CampaignObserver):
        def began(self, entry: Entry, number: int, count: int, path: Path) -> None:
            NOTES.print(f"Run {number} of {count}: {path}", markup=False)

        def training(self, entry: Entry) -> AbstractContextManager[Observer]:
            return TrainingProgress()

        def measuring(
            self, entry: Entry, benchmark: Measured
        ) -> AbstractContextManager[Callable[[int, int], None]]:
            return CountingProgress(f"measuring {entry.name} on {benchmark.name}")

        def finished(self, entry: Entry) -> None:
            write()

    return Told()
