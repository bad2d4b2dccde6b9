"""Which landmark, or the background, each pixel belongs to: from points alone."""

import math

import torch
from torch import Tensor

from lmkit.api import gaussian_heatmaps


def shares(points: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Divide each pixel among the landmarks and the background.

    Zhang et al. 2018 (section "Landmark-based decoder"): each landmark is the density of an
    isotropic Gaussian, the background a density of 1 everywhere on an image of unit area, and all
    K + 1 are divided by their sum. Always in float32 or wider, also under autocast.

    Args:
        points: (B, K, 2), (x, y) in [-1, 1].
        height: Of the maps, in pixels.
        width: Of the maps, in pixels.
        sigma: Standard deviation of the Gaussians, in sides of the image (of one that is not
            square, in square roots of its area).

    Returns:
        (B, K + 1, height, width), from 0; the sum over the maps is 1 in every pixel. The last one
        is the background's.
    """
    peaks = gaussian_heatmaps(points, height, width, sigma * math.sqrt(height * width))
    densities = torch.cat((peaks / (2 * math.pi * sigma**2), torch.ones_like(peaks[:, :1])), dim=1)
    return densities / densities.sum(dim=1, keepdim=True)
