"""From score maps to points, differentiably: a softmax over all cells, and its mean."""

import torch
from torch import Tensor

from lmkit.geometry.coordinates import at_least_float32, pixel_centres

DEFAULT_BETA = 10.0
"""The smoothness of the soft-argmax where a detector has no reason for another."""


def spatial_softmax(scores: Tensor, beta: float = DEFAULT_BETA) -> Tensor:
    """Return the softmax of each score map over all its cells.

    Always computed in float32 or wider, also under autocast: in bfloat16 the softmax of
    ``beta * scores`` would move points by pixels.

    Args:
        scores: (B, K, h, w).
        beta: The smoothness; the larger, the more of it is at the maximum.

    Returns:
        (B, K, h, w), from 0; each map sums to 1.
    """
    scores = at_least_float32(scores)
    maps: Tensor = (beta * scores).flatten(2).softmax(dim=2).unflatten(2, scores.shape[-2:])
    return maps


def mean_position(probability_maps: Tensor) -> Tensor:
    """Return the mean position under each probability map.

    Args:
        probability_maps: (B, K, h, w), from 0; each map sums to 1.

    Returns:
        (B, K, 2), (x, y) in [-1, 1], in float32 or wider.
    """
    weights = at_least_float32(probability_maps)
    height, width = weights.shape[-2:]
    x = pixel_centres(width, device=weights.device, dtype=weights.dtype)
    y = pixel_centres(height, device=weights.device, dtype=weights.dtype)
    # Sums instead of matrix products: autocast turns products into half precision, sums never.
    mean_x = (weights.sum(dim=2) * x).sum(dim=2)
    mean_y = (weights.sum(dim=3) * y).sum(dim=2)
    return torch.stack((mean_x, mean_y), dim=-1)


NEAR = 0.125
"""How near to a point is near, in half sides of the image: a sixteenth of its side."""


def second_moments(probability_maps: Tensor, points: Tensor) -> Tensor:
    """Return the covariance of the position under each probability map.

    Args:
        probability_maps: (B, K, h, w), from 0; each map sums to 1.
        points: (B, K, 2), their means, (x, y) in [-1, 1].

    Returns:
        (B, K, 2, 2), of x and y in [-1, 1], in float32 or wider; the variance within a cell is not
        part of it.
    """
    weights = at_least_float32(probability_maps)
    off_x, off_y = _offsets(weights, points)
    columns, rows = weights.sum(dim=2), weights.sum(dim=3)
    xx = (columns * off_x**2).sum(dim=2)
    yy = (rows * off_y**2).sum(dim=2)
    xy = ((weights * off_x.unsqueeze(2)).sum(dim=3) * off_y).sum(dim=2)
    covariance: Tensor = torch.stack((xx, xy, xy, yy), dim=-1).unflatten(-1, (2, 2))
    return covariance


def concentration(probability_maps: Tensor, points: Tensor) -> Tensor:
    """Return how much of each probability map is near its point: the share within a disc.

    Its radius is [NEAR][lmkit.geometry.soft_argmax.NEAR], so that it says the same of maps of any
    resolution. A map with two peaks has its mean between them, where little of it is.

    Args:
        probability_maps: (B, K, h, w), from 0; each map sums to 1.
        points: (B, K, 2), their means, (x, y) in [-1, 1].

    Returns:
        (B, K), in [0, 1], in float32 or wider.
    """
    weights = at_least_float32(probability_maps)
    off_x, off_y = _offsets(weights, points)
    distance = off_x.unsqueeze(2) ** 2 + off_y.unsqueeze(3) ** 2
    # The edge of the disc is soft, one cell wide: a step would make jumps of rounding.
    cell = 2 / max(weights.shape[-2:])
    inside = ((NEAR - (distance + 1e-12).sqrt()) / cell + 0.5).clamp(0, 1)
    return (weights * inside).sum(dim=(2, 3)).clamp(0, 1)


def _offsets(weights: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far columns and rows are from points, (B, K, w) and (B, K, h)."""
    height, width = weights.shape[-2:]
    x = pixel_centres(width, device=weights.device, dtype=weights.dtype)
    y = pixel_centres(height, device=weights.device, dtype=weights.dtype)
    return x - points[..., :1], y - points[..., 1:]


def soft_argmax(scores: Tensor, beta: float = DEFAULT_BETA) -> Tensor:
    """Return the mean position under the softmax of each score map.

    Li et al. 2020, equation (1). Always computed in float32 or wider, also under autocast.

    Args:
        scores: (B, K, h, w).
        beta: The smoothness; the larger, the closer to the position of the maximum.

    Returns:
        (B, K, 2), (x, y) in [-1, 1].
    """
    return mean_position(spatial_softmax(scores, beta))
