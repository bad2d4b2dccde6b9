"""Whether landmarks say anything: how far they move, and which sit still, together or at the edge.

A detector that has collapsed still gives points, and its loss still falls. What gives it away is
where the points are over many images. Every function takes points of a batch and computes on
their device; nothing waits for the host. Lengths are in percent of the side of the square image,
so that the thresholds hold for images and score maps of any size.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

STILL = 1.0
"""A landmark whose spread is below this, in percent of the side, hardly moves: 1.3 pixels of 128.
It is less than the shift that deformations add to every view, and less than faces differ even in
aligned crops, so that a landmark that follows anything in the image spreads further."""

CENTRE = 10.0
"""A landmark whose mean position is within this of the image's centre, in percent of the side,
sits near it. The soft-argmax of flat score maps lies at the centre exactly: landmarks without
anything to follow fall back to it."""

SAME_PLACE = 2.0
"""Two landmarks whose mean distance is below this, in percent of the side, say the same. It is less
than one cell of a score map of 32 x 32 (3.1 percent), and their heatmaps overlap almost wholly."""

BORDER = 6.0
"""A landmark whose mean distance from the nearest edge is below this, in percent of the side, sits
at the border: in the outermost cells of score maps of 10 x 10, whose centres are 5 percent from the
edge, or in the outer two of 32 x 32. Nothing that is on every image is there."""

TOO_MANY = 0.5
"""From this share of landmarks on that are pinned, coincident or at the border, fewer than half of
them carry information, and the run looks collapsed."""


def mean_movement(points: Tensor) -> Tensor:
    """Return how far each landmark moves over images.

    Args:
        points: (B, K, 2), in [-1, 1].

    Returns:
        (K,), the root mean squared distance from the landmark's own mean position, in percent of
        the side. For a single image it is 0.
    """
    return _percent((points - points.mean(dim=0)).square().sum(dim=-1).mean(dim=0).sqrt())


def pinned(points: Tensor) -> Tensor:
    """Return which landmarks hardly move and sit near the centre.

    Args:
        points: (B, K, 2), in [-1, 1].

    Returns:
        (K,), bool; see [STILL][lmkit.geometry.collapse.STILL] and
        [CENTRE][lmkit.geometry.collapse.CENTRE].
    """
    off_centre = _percent(points.mean(dim=0).norm(dim=-1))
    return (mean_movement(points) < STILL) & (off_centre < CENTRE)


def coincident(points: Tensor) -> Tensor:
    """Return which landmarks have another one in the same place, on average.

    Args:
        points: (B, K, 2), in [-1, 1].

    Returns:
        (K,), bool; see [SAME_PLACE][lmkit.geometry.collapse.SAME_PLACE]. A single landmark has no
        other.
    """
    distances = _percent((points[:, :, None] - points[:, None]).norm(dim=-1).mean(dim=0))
    itself = torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    return ((distances < SAME_PLACE) & ~itself).any(dim=1)


def at_border(points: Tensor) -> Tensor:
    """Return which landmarks sit at the edge of the image, on average.

    Args:
        points: (B, K, 2), in [-1, 1].

    Returns:
        (K,), bool; see [BORDER][lmkit.geometry.collapse.BORDER].
    """
    from_edge = 1 - points.abs().amax(dim=-1)
    return _percent(from_edge.mean(dim=0)) < BORDER


def summary(points: Tensor) -> dict[str, Tensor]:
    """Return what one batch of landmarks comes to.

    Args:
        points: (B, K, 2), in [-1, 1].

    Returns:
        Scalars on the points' device: ``spread``, the mean over landmarks in percent of the side,
        and the shares in [0, 1] of landmarks that are ``pinned``, ``coincident`` and at the
        ``border``.
    """
    return {
        "spread": mean_movement(points).mean(),
        "pinned": pinned(points).float().mean(),
        "coincident": coincident(points).float().mean(),
        "border": at_border(points).float().mean(),
    }


def looks_collapsed(values: Mapping[str, float]) -> bool:
    """Tell from a reading of [summary][lmkit.geometry.collapse.summary] whether most are lost.

    They are where half of them or more are pinned, coincident or at the border, or where they
    hardly move on average, wherever they are.
    """
    lost = max(values["pinned"], values["coincident"], values["border"])
    return lost >= TOO_MANY or values["spread"] < STILL


def _percent(lengths: Tensor) -> Tensor:
    """Convert lengths in [-1, 1] coordinates, whose side is 2, to percent of the side."""
    return 50 * lengths
