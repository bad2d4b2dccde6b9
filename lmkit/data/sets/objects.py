"""Objects that lie on images and are cut out of them: what readers of such data share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import square_boxes


class Item(NamedTuple):
    """An object on an image, or an image as a whole."""

    file: str
    key: str
    points: NDArray[np.float64]
    """(P, 2), in pixels, (NaN, NaN) where not known."""
    box: NDArray[np.float64] | None = None
    """(4,), left, top, width and height in pixels, measured from the corner of the first pixel."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image; 0 where not known."""
    problem: str = ""
    """What is wrong with it, so that it is left out; empty if nothing is."""


def boxed(items: list[Item], margin: float) -> NDArray[np.float64]:
    """Return the square around each object's box, enlarged.

    Where an object has no box, it is that of its keypoints; if those have no extent, it has a
    problem, which is written into ``items``.

    Args:
        items: N objects.
        margin: The side of a square, as a multiple of the longer side of its box.

    Returns:
        (N, 4), left, top, width and height.
    """
    boxes = np.ones((len(items), 4))
    for number, item in enumerate(items):
        box = item.box if item.box is not None else _around(item.points)
        if box is not None:
            boxes[number] = box
        elif not item.problem:
            items[number] = item._replace(
                problem="it has no box, and its known keypoints span none"
            )
    # Boxes are measured from the corner of the first pixel, centres from its centre.
    centres = boxes[:, :2] + boxes[:, 2:] / 2 - 0.5
    return square_boxes(centres, margin * boxes[:, 2:].max(axis=1))


def _around(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) < 2 or not np.ptp(known, axis=0).any():
        return None
    low, high = known.min(axis=0), known.max(axis=0)
    return np.concatenate([low, high - low + 1])


def unique(keys: Sequence[str]) -> list[str]:
    """Return names with a number behind each that is there already."""
    counts: dict[str, int] = {}
    found = []
    for key in keys:
        own = key
        while own in counts:
            counts[key] += 1
            own = f"{key} ({counts[key]})"
        counts[own] = 1
        found.append(own)
    return found
