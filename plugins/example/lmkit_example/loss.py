"""A loss that reads landmarks alone, and therefore needs no generator and no route."""

from typing import ClassVar

import torch
from torch import Tensor

from lmkit.api import LmkitError, Loss, Step


class Separation(Loss):
    """Keeps the landmarks of an image apart, so that none collapse onto one another.

    The mean over images and pairs of ``exp(-d^2 / (2 distance^2))``, after the separation
    constraint of Zhang et al. 2018.

    Args:
        distance: How far two landmarks should be apart, in half sides of the image.

    Raises:
        LmkitError: If the distance is not above 0.
    """

    needs_routes: ClassVar[bool] = False

    def __init__(self, *, distance: float = 0.1) -> None:
        super().__init__()
        if not distance > 0:
            raise LmkitError(
                f"loss.example.distance={distance} separates nothing.",
                remedy="Give it a number above 0; 0.1 is the default.",
            )
        self.distance = distance

    def forward(self, step: Step) -> Tensor:
        """Return a scalar from 0 (all far apart) to 1 (all in one place)."""
        points = step.landmarks["original"].points
        count = points.shape[1]
        if count == 1:
            return points.sum() * 0  # One landmark has nobody to keep away from.
        squared = (points[:, :, None] - points[:, None]).square().sum(dim=-1)
        first, second = torch.triu_indices(count, count, offset=1, device=points.device)
        return torch.exp(-squared[:, first, second] / (2 * self.distance**2)).mean()
