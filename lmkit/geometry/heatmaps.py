"""From points to Gaussian heatmaps, differentiably."""

import torch
from torch import Tensor

from lmkit.geometry.coordinates import at_least_float32, pixel_centres


def gaussian_heatmaps(points: Tensor, height: int, width: int, sigma: float = 0.5) -> Tensor:
    """Draw one Gaussian a point, of peak 1 and not normalised.

    Li et al. 2020, equation (2): ``exp(-d^2 / (2 sigma^2))`` with the distance d in pixels of the
    heatmap. Drawn as the product of a row and a column, which is the same function. Always in
    float32 or wider, also under autocast.

    Args:
        points: (B, K, 2), (x, y) in [-1, 1].
        height: Of the heatmap, in pixels.
        width: Of the heatmap, in pixels.
        sigma: Standard deviation in pixels of the heatmap.

    Returns:
        (B, K, height, width), values in [0, 1].
    """
    points = at_least_float32(points)
    x = pixel_centres(width, device=points.device, dtype=points.dtype)
    y = pixel_centres(height, device=points.device, dtype=points.dtype)
    # A step of 2 / width in normalised coordinates is one pixel.
    across = (x - points[..., 0:1]) * (width / (2 * sigma))
    down = (y - points[..., 1:2]) * (height / (2 * sigma))
    row, column = torch.exp(-(across**2) / 2), torch.exp(-(down**2) / 2)
    return column.unsqueeze(-1) * row.unsqueeze(-2)
