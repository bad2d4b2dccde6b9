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
