"""Looks at every image of a data set once, and keeps a few numbers of each.

Images are read and dropped one at a time, in other processes where there are many, so that
hundreds of thousands take no more memory than their fingerprints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lmkit.data.fingerprints import Fingerprint, fingerprint
from lmkit.data.framing import Framer
from lmkit.data.workers import read_ahead
from lmkit.interfaces.dataset import Dataset

_TOGETHER = 16  # images that are asked for at a time


class Look(NamedTuple):
    """What is kept of an image that could be read."""

    width: int
    height: int
    shown: int
    """The shorter side of what a crop shows of it, in pixels; at least 1."""
    mark: Fingerprint
    outside: int
    """How many of its annotated points lie outside of it."""


def scan(
    dataset: Dataset,
    indices: Sequence[int],
    framer: Framer,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[int, Look], dict[int, str]]:
    """Read images, each once.

    Args:
        dataset: The data.
        indices: The images to read.
        framer: How they would become squares; only what its crop shows matters here.
        workers: The number of processes that read; none are started for data held in memory.
        progress: Called with the number of images done, and of all.

    Returns:
        What was found, by image; and why others cannot be read, or not be cropped.
    """
    starts = range(0, len(indices), _TOGETHER)
    groups = [tuple(indices[start : start + _TOGETHER]) for start in starts]
    looks: dict[int, Look] = {}
    problems: dict[int, str] = {}
    done = 0
    workers = 0 if dataset.in_memory else workers
    for found in read_ahead(_Looker(dataset, framer), groups, workers):
        for index, look in found.items():
            if isinstance(look, str):
                problems[index] = look
            else:
                looks[index] = look
        done += len(found)
        progress(done, len(indices))
    return looks, problems


@dataclass(frozen=True)
class _Looker:
    """Looks at a group of images; lives in the worker processes."""

    dataset: Dataset
    framer: Framer

    def __call__(self, group: Sequence[int]) -> dict[int, Look | str]:
        found: dict[int, Look | str] = {}
        for index in group:
            try:
                found[index] = self._look(index)
            except OSError as error:
                found[index] = str(error)
        return found

    def _look(self, index: int) -> Look:
        image = self.dataset.image(index)
        annotation = self.dataset.annotation(index)
        height, width = image.shape[:2]
        shown: float = min(width, height)
        # Without what the crop is made from, an image is left out of training beforehand.
        if self.framer.crop is not None and self.framer.accepts(annotation):
            box = self.framer.crop.box(width, height, annotation.points)
            shown = min(box.width, box.height)
        outside = 0
        if annotation.points is not None:
            # Not known (NaN) is not outside: no comparison with it holds.
            beyond = (annotation.points < -0.5) | (annotation.points > (width - 0.5, height - 0.5))
            outside = int(np.count_nonzero(beyond.any(axis=1)))
        return Look(width, height, max(1, int(shown)), fingerprint(image), outside)
