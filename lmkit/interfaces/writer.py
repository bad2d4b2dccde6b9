"""The writer: receives what a run produces, as it goes, and takes it somewhere else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class Writer:
    """Hears of a run's metrics, images and checkpoints; every method does nothing by default.

    The constructor is called before a run starts, also by ``lmkit train --dry-run``: it refuses
    what cannot work, such as a package that is missing, and writes nothing. It is not called when a
    run is opened to predict or to be measured. A method that raises is reported once, and the
    writer is not called again; the run goes on.
    """

    component_kind: ClassVar[str] = "writer"
    """What an option of this type takes: a component of this kind."""

    argument: ClassVar[str | None] = None
    """The option that ``--writer NAME:VALUE`` fills; None if there is nothing to fill."""

    def started(self, folder: Path, settings: Mapping[str, Any], *, step: int, steps: int) -> None:
        """The run starts, or goes on after ``step``; whatever was written of later steps is void.

        Args:
            folder: The run's.
            settings: Every setting of the run, ``{"section": {"key": value}}`` of JSON values.
            step: The steps done: 0 for a new run.
            steps: The steps in total.
        """

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers, averaged over the steps since the last time: a line of ``metrics.jsonl``."""

    def sheet(self, step: int, name: str, path: Path) -> None:
        """A sheet was drawn: ``landmarks`` or ``routes``, a PNG file."""

    def checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint is complete; its folder is removed when newer ones are."""

    def ended(self, step: int, state: str) -> None:
        """The run is over: ``finished``, ``stopped`` or ``failed``. Close what is open."""
