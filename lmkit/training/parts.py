"""Parts of a step's batch: what one process, or one of several passes, computes.

What is drawn at random is drawn for the whole batch, and each part takes its own. So a step does
not depend on how its batch is divided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lmkit.geometry.warps import Warp
from lmkit.interfaces.deformation import Deformation, GeometricDeformation, Views
from lmkit.interfaces.landmarks import Landmarks
from lmkit.runtime.blame import in_words
from lmkit.runtime.returned import check_views


@dataclass(frozen=True, slots=True)
class BatchPart:
    """The images of a batch that are computed at once.

    Args:
        rows: Their places in the batch.
        join: From something of these images to the same of the whole batch, with gradients,
            where the other parts are computed at the same time. Where they are not, it is none, and
            auxiliaries go through the detector once more.
    """

    rows: slice
    join: Callable[[Tensor], Tensor] | None = None


class Deformed(NamedTuple):
    """A batch after its deformation, as one part needs it."""

    views: Views
    """Of the part's images."""
    original_warp: Warp
    """Of all images of the batch."""
    original: Callable[[Tensor], Tensor]
    """From the places of any images in the batch to their original views."""


def deform(
    deformation: Deformation,
    images: Tensor,
    draws: int,
    part: BatchPart | None = None,
    *,
    values: bool = False,
) -> Deformed:
    """Make the views of a part.

    Args:
        deformation: Makes them.
        images: (B, 3, H, W), uint8, the whole batch.
        draws: The number that all randomness of the whole batch follows from.
        part: Which images; all if not given.
        values: Whether the colours that it returns are looked at, which waits for the device.

    Raises:
        ValueError: If a view is of another size, type or range than the images.
    """
    randomness = torch.Generator(images.device)
    randomness.manual_seed(draws)
    only_moves = type(deformation).__call__ is GeometricDeformation.__call__
    if isinstance(deformation, GeometricDeformation) and only_moves:
        warp, other = _two_warps(deformation.warps(len(images), randomness))
        if part is not None:
            own, own_other, pixels = warp[part.rows], other[part.rows], _pixels(images[part.rows])
            views = Views(own(pixels), own_other(pixels), own, own_other)
            return Deformed(views, warp, lambda rows: warp[rows](_pixels(images[rows])))
        pixels = _pixels(images)
        pair = Views(warp(pixels), other(pixels), warp, other)
    else:
        pair = deformation(_pixels(images), randomness)
    check_views(pair, images, values=values)
    views = pair if part is None else _some(pair, part.rows)
    return Deformed(views, pair.original_warp, lambda rows: pair.original[rows])


def join_landmarks(landmarks: Landmarks, join: Callable[[Tensor], Tensor]) -> Landmarks:
    """Return the landmarks of the whole batch from those of a part."""
    return landmarks.each(join)


def _two_warps(found: Any) -> tuple[Warp, Warp]:
    if not isinstance(found, tuple) or [isinstance(each, Warp) for each in found] != [True, True]:
        raise TypeError(f"warps() returned {in_words(found)} instead of two Warps")
    return found[0], found[1]


def _pixels(images: Tensor) -> Tensor:
    return images.float() / 255


def _some(pair: Views, rows: slice) -> Views:
    return Views(
        pair.original[rows],
        pair.deformed[rows],
        pair.original_warp[rows],
        pair.deformed_warp[rows],
    )
