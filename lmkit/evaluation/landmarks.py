"""Which landmarks say nothing: pinned, still, together, off the face, or moving on their own.

An error alone hides this, since the regressor leans on the landmarks that work. What pinned, still
and together mean is what it means while training; annotation adds the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmkit.evaluation.measures import normalising_distance
from lmkit.geometry import collapse as geometry
from lmkit.points.linear import Array

MARGIN = 0.75
"""By how much the box of the annotated points grows on each side to be the face area, as a share of
the normalising distance. Around eyes and mouth corners that adds cheeks, chin and most of the
forehead, and makes the box 2.5 eye distances wide: about a face, and little else."""
MOSTLY = 0.5
"""From this share of images on, a landmark outside of the face area is warned about."""
CONSISTENT = 0.1
"""Below this share of explained variance, a landmark moves without regard to the annotation."""

_NAMED = 5  # how many pairs a message names


@dataclass(frozen=True, slots=True)
class Health:
    """What each landmark is like over the test images.

    Args:
        spread: How far it moves: the root mean squared distance from its own mean position, in
            percent of the square's side.
        outside: The share of images where it lies outside of the face area.
        consistency: The share of its variance that annotated points explain (R squared of the
            backward map; negative where the map is worse than the mean); None where it hardly moves
            or nothing could be fitted.
        still: Whether it hardly moves.
        pinned: Whether it hardly moves and sits near the centre.
        together: Pairs of landmarks that lie on one another.
    """

    spread: list[float]
    outside: list[float]
    consistency: list[float | None]
    still: list[bool]
    pinned: list[bool]
    together: list[tuple[int, int]]

    @property
    def mean_spread(self) -> float:
        """How far landmarks move on average, in percent of the square's side."""
        return float(np.mean(self.spread))

    def warnings(self) -> list[str]:
        """Return what the user should hear, a sentence each; nothing if all is well."""
        every = range(len(self.spread))
        pinned = [k for k in every if self.pinned[k]]
        still = [k for k in every if self.still[k] and not self.pinned[k]]
        outside = [k for k in every if self.outside[k] > MOSTLY and not self.still[k]]
        # Those that hardly move are told of above, wherever they are.
        pairs = [(a, b) for a, b in self.together if not (self.still[a] and self.still[b])]
        own_way = [
            k
            for k in every
            if (share := self.consistency[k]) is not None and share < CONSISTENT
            if k not in outside
        ]
        found = []
        if pinned:
            words = "sits" if len(pinned) == 1 else "sit"
            found.append(
                f"{self._some(pinned)} {words} at the centre in every image: the detector "
                "collapsed."
            )
        if still:
            words = "stays" if len(still) == 1 else "stay"
            found.append(f"{self._some(still)} {words} in one place whatever the image shows.")
        if pairs:
            both = sorted({k for pair in pairs for k in pair})
            named = ", ".join(f"{a} and {b}" for a, b in pairs[:_NAMED])
            named += f" and {len(pairs) - _NAMED} more pairs" if len(pairs) > _NAMED else ""
            found.append(f"{self._count(both)} lie on one another: {named}.")
        if outside:
            words = "lies" if len(outside) == 1 else "lie"
            found.append(f"{self._some(outside)} {words} outside of the face in most images.")
        if own_way:
            words = "moves" if len(own_way) == 1 else "move"
            found.append(f"{self._some(own_way)} {words} without regard to the annotated points.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        each = zip(
            self.spread, self.outside, self.consistency, self.still, self.pinned, strict=True
        )
        return {
            "landmarks": [
                {
                    "landmark": number,
                    "spread": spread,
                    "outside": outside,
                    "consistency": consistency,
                    "still": still,
                    "pinned": pinned,
                }
                for number, (spread, outside, consistency, still, pinned) in enumerate(each)
            ],
            "together": [list(pair) for pair in self.together],
            "mean_spread": self.mean_spread,
            "pinned": sum(self.pinned),
            "still": sum(self.still),
            "outside": sum(share > MOSTLY for share in self.outside),
        }

    def _count(self, which: Sequence[int]) -> str:
        return f"{len(which)} of {len(self.spread)} landmarks"

    def _some(self, which: Sequence[int]) -> str:
        if len(which) == len(self.spread) > 1:
            return f"All {len(which)} landmarks"
        return f"{self._count(which)} ({', '.join(map(str, which))})"


def examine_landmarks(
    found: Array,
    pixels: Array,
    truth: Array,
    pair: tuple[int, int],
    consistency: Sequence[float] | None,
) -> Health:
    """Look at each landmark over the test images.

    Args:
        found: (N, K, 2), landmarks in [-1, 1] of the square images.
        pixels: (N, K, 2), the same in pixels of the original images.
        truth: (N, P, 2), annotated points in the same pixels; NaN where not known.
        pair: The two of them, always known, whose distance normalises.
        consistency: Explained variance of each landmark, where it could be measured.
    """
    points = torch.from_numpy(found)
    moves = geometry.mean_movement(points)
    # A single image does not say what moves.
    still = [len(found) > 1 and each < geometry.STILL for each in moves.tolist()]
    count = found.shape[1]
    # A side is 2 in these coordinates.
    together = [
        (a, b)
        for a in range(count)
        for b in range(a + 1, count)
        if 50 * np.linalg.norm(found[:, a] - found[:, b], axis=-1).mean() < geometry.SAME_PLACE
    ]
    shares = [None] * count if consistency is None else consistency
    return Health(
        spread=moves.tolist(),
        outside=outside_face(pixels, truth, pair).mean(axis=0).tolist(),
        consistency=[None if calm else share for calm, share in zip(still, shares, strict=True)],
        still=still,
        pinned=[
            calm and central
            for calm, central in zip(still, geometry.pinned(points).tolist(), strict=True)
        ],
        together=together,
    )


def outside_face(pixels: Array, truth: Array, pair: tuple[int, int]) -> Array:
    """Return which landmarks lie outside of the face area: the box of the annotated points, grown.

    Args:
        pixels: (N, K, 2), landmarks.
        truth: (N, P, 2), annotated points; NaN where not known.
        pair: The two of them, always known, whose distance normalises.

    Returns:
        (N, K), 1 where outside.
    """
    margin = MARGIN * normalising_distance(truth, pair)[:, None, None]
    low = np.nanmin(truth, axis=1, keepdims=True) - margin
    high = np.nanmax(truth, axis=1, keepdims=True) + margin
    outside: Array = ((pixels < low) | (pixels > high)).any(axis=-1).astype(np.float64)
    return outside


def explained_variance(predicted: Array, found: Array) -> list[float]:
    """Return the share of each landmark's variance that a prediction explains (R squared).

    Args:
        predicted: (N, K, 2).
        found: (N, K, 2).
    """
    left = ((found - predicted) ** 2).sum(axis=(0, 2))
    variance = ((found - found.mean(axis=0)) ** 2).sum(axis=(0, 2))
    shares = 1 - left / np.maximum(variance, np.finfo(np.float64).tiny)
    return [float(share) for share in shares]
