"""Which landmarks are at fault on which image; needs no annotation.

Means over images hide a detector that works on some images and not on others: a fixed grid on some
and one spot on the rest has a spread, and no pair of its landmarks is together on average. So every
landmark is judged on every image first, and only then counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.evaluation.regression import Array
from lmkit.geometry.collapse import BORDER, SAME_PLACE, STILL, TOO_MANY

STUCK_WITHIN = STILL / 2
"""Landmarks of two images that are nearer than this, in percent of the side, are in the same
place."""
STUCK_SHARE = 0.25
"""From this share of the other images on whose landmark is in the same place, it is stuck there. A
landmark that moves no more than [STILL][lmkit.geometry.collapse.STILL] allows, and normally, is in
the same place on 12 percent of the others."""
COMPARED = 500
"""How many images, taken evenly, each one is compared with to tell whether landmarks are stuck."""

TELLING = 0.05
"""From this share of images at fault on, the user hears of it."""

KINDS = {
    "stuck": "are where they are on many other images",
    "together": "lie on one another",
    "border": "sit at the border",
}
"""The kinds of faults, and what to say of landmarks that have them."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Which landmarks are at fault on which of N images.

    Args:
        stuck: (N, K), whether a landmark is where it is on many other images.
        together: (N, K), whether it lies on another one of its image.
        border: (N, K), whether it sits at the border.
    """

    stuck: NDArray[np.bool_]
    together: NDArray[np.bool_]
    border: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """Whether a landmark is at fault on an image, in any way, (N, K)."""
        return self.stuck | self.together | self.border

    @property
    def images(self) -> NDArray[np.bool_]:
        """Which images are at fault: half of their landmarks or more are, (N,)."""
        return np.asarray(self.any.mean(axis=1) >= TOO_MANY)

    @property
    def share(self) -> float:
        """The share of images at fault."""
        return float(self.images.mean())

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """The share of images on which each landmark is at fault, (K,)."""
        return np.asarray(self.any.mean(axis=0))

    def of_kind(self, kind: str) -> NDArray[np.bool_]:
        """Return whether a landmark has a fault of [KINDS][lmkit.evaluation.faults.KINDS]."""
        found: NDArray[np.bool_] = getattr(self, kind)
        return found

    def sentence(self) -> str:
        """Return what share of images and of landmarks is at fault, and how, as a sentence."""
        every = self.any
        often = int((self.landmarks >= TOO_MANY).sum())
        text = (
            f"At fault are {100 * self.share:.0f} % of the images, and on most images {often} of "
            f"{every.shape[1]} landmarks"
        )
        shares = {words: 100 * self.of_kind(kind).mean() for kind, words in KINDS.items()}
        named = [f"{share:.0f} % {words}" for words, share in shares.items() if share >= 0.5]
        return f"{text}: over all images, {', '.join(named)}." if named else f"{text}."

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "images": self.share,
            "landmarks": self.landmarks.tolist(),
            **{kind: float(self.of_kind(kind).mean()) for kind in KINDS},
        }


def find_faults(points: Array) -> Faults:
    """Judge every landmark on every image.

    Args:
        points: (N, K, 2), landmarks in [-1, 1] of the square images.
    """
    count = points.shape[1]
    together = np.zeros(points.shape[:2], bool)
    for k in range(count):
        gap = _percent(points - points[:, k : k + 1])
        gap[:, k] = np.inf
        together[:, k] = (gap < SAME_PLACE).any(axis=1)
    border = 50 * (1 - np.abs(points).max(axis=-1)) < BORDER
    return Faults(_stuck(points), together, border)


def _stuck(points: Array) -> NDArray[np.bool_]:
    """Return which landmarks are where they are on many other images, (N, K)."""
    images = len(points)
    if images < 2:  # A single image does not say what moves.
        return np.zeros(points.shape[:2], bool)
    taken = min(images, COMPARED)
    chosen = np.arange(taken) * images // taken
    among = np.zeros(images, np.int64)
    among[chosen] = 1
    near = np.zeros(points.shape[:2], np.int64)
    for other in chosen:
        near += _percent(points - points[other]) < STUCK_WITHIN
    # An image that is among the others is near itself.
    others = (taken - among)[:, None]
    return np.asarray((near - among[:, None]) >= STUCK_SHARE * others)


def _percent(difference: Array) -> Array:
    """Return lengths of differences in [-1, 1] coordinates, in percent of the side."""
    lengths: Array = 50 * np.linalg.norm(difference, axis=-1)
    return lengths
