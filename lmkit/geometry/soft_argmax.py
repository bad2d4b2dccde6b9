"""From score maps to points, differentiably."""

import torch
from torch import Tensor

from lmkit.geometry.coordinates import at_least_float32, pixel_centres


def soft_argmax(scores: Tensor, beta: float = 10.0) -> Tensor:
    """Return the mean position under the softmax of each score map.

    Li et al. 2020, equation (1). Always computed in float32 or wider, also under autocast: in
    bfloat16 the softmax of ``beta * scores`` would move points by pixels.

    Args:
        scores: (B, K, h, w).
        beta: The smoothness; the larger, the closer to the position of the maximum.

    Returns:
        (B, K, 2), (x, y) in [-1, 1].
    """
    scores = at_least_float32(scores)
    height, width = scores.shape[-2:]
    weights = (beta * scores).flatten(2).softmax(dim=2).unflatten(2, (height, width))
    x = pixel_centres(width, device=scores.device, dtype=scores.dtype)
    y = pixel_centres(height, device=scores.device, dtype=scores.dtype)
    # Sums instead of matrix products: autocast turns products into half precision, sums never.
    mean_x = (weights.sum(dim=2) * x).sum(dim=2)
    mean_y = (weights.sum(dim=3) * y).sum(dim=2)
    return torch.stack((mean_x, mean_y), dim=-1)
