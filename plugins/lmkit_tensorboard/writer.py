"""The writer: what a run produces, as TensorBoard's events."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from lmkit.api import LmkitError, Writer

FLUSH = 10
"""Seconds until what was written can be seen."""


class TensorBoard(Writer):
    """Metrics as scalars, images as images, settings and checkpoints as text.

    Look with ``tensorboard --logdir runs``. A run that goes on takes back what was written of the
    steps that it repeats.

    Args:
        folder: Where the events go; ``tensorboard`` in the run's folder if not given.

    Raises:
        LmkitError: If the package tensorboard is missing or does not work.
    """

    argument: ClassVar[str | None] = "folder"

    def __init__(self, *, folder: Path | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise LmkitError(
                f"The writer 'tensorboard' needs the package tensorboard: {error}.",
                remedy="Install it: pip install 'lmkit[tensorboard]'.",
            ) from error
        self._make = SummaryWriter
        self._folder = folder
        self._events: SummaryWriter

    def started(self, folder: Path, settings: Mapping[str, Any], *, step: int, steps: int) -> None:
        """Open a new file, make void what older ones say of later steps, and write the settings.

        The settings stand at the first step that they hold for, so that they too are taken back
        with it.
        """
        where = folder / "tensorboard" if self._folder is None else self._folder
        self._events = self._make(str(where), purge_step=step + 1, flush_secs=FLUSH)
        lines = [f"    {key} = {value}" for key, value in _flat(settings)]
        self._events.add_text("settings", "\n".join(lines), step + 1)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write each number under its name."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def sheet(self, step: int, name: str, path: Path) -> None:
        """Write the image under its name."""
        with Image.open(path) as image:
            array = np.asarray(image.convert("RGB"))
        self._events.add_image(name, array, step, dataformats="HWC")

    def checkpoint(self, step: int, path: Path) -> None:
        """Note where the checkpoint is."""
        self._events.add_text("checkpoint", f"`{path}`", step)

    def ended(self, step: int, state: str) -> None:
        """Close the file."""
        self._events.close()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
