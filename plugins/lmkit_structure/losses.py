"""What makes the points of an autoencoder landmarks: the constraints of Zhang et al. 2018.

All are sums over landmarks and means over images, as in the authors' released code, so that its
weights apply: 100 for concentration, 20 for separation, 10,000 for equivariance at K = 10.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from lmkit.api import LmkitError, Loss, Step, View, from_pixels, mean_position

_VIEWS: tuple[View, ...] = ("original", "deformed")


class Concentration(Loss):
    """Keeps each landmark's probability map in one place.

    Section "Visual concepts of landmarks", concentration constraint: the exponential of the entropy
    of an isotropic Gaussian as wide as the map, ``2 pi e sigma^2``. Sigma is the mean of the map's
    standard deviations in x and in y, in sides of the image (read off the code). A uniform map
    costs 1.42 and a single pixel nothing. Works with every detector that returns probability maps;
    all that write score maps do.
    """

    needs_routes: ClassVar[bool] = False

    def forward(self, step: Step) -> Tensor:
        """Measure how wide the probability maps of both views are.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the sum over landmarks, averaged over the images of both views.

        Raises:
            LmkitError: If the detector returns no probability maps.
        """
        sigmas = [_spread(step, view).mean(dim=2) for view in _VIEWS]
        return 2 * math.pi * math.e * torch.cat(sigmas).square().sum(dim=1).mean()


class Separation(Loss):
    """Keeps the landmarks of an image apart.

    Section "Visual concepts of landmarks", separation constraint: the sum over ordered pairs of
    landmarks of ``exp(-d^2 / (2 distance^2))``. Works with every detector.

    Args:
        distance: How far two landmarks should be apart, in sides of the image. The authors' code
            has 0.08 for 10 landmarks and 0.04 for 30.

    Raises:
        LmkitError: If the distance is not above 0.
    """

    needs_routes: ClassVar[bool] = False

    def __init__(self, *, distance: float = 0.08) -> None:
        super().__init__()
        if not 0 < distance < float("inf"):
            raise LmkitError(
                f"loss.structure-separation.distance={distance} separates nothing.",
                remedy="Give it a number above 0; 0.08 is the default.",
            )
        self.distance = distance

    def forward(self, step: Step) -> Tensor:
        """Measure how close the landmarks of both views are to one another.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar from 0 (all far apart) to K (K - 1) (all in one place), averaged over
            the images of both views.
        """
        points = torch.cat([step.landmarks[view].points for view in _VIEWS])
        # Half of [-1, 1] is one side.
        squared = (points[:, :, None] - points[:, None]).square().sum(dim=3) / 4
        near = torch.exp(-squared / (2 * self.distance**2))
        others = 1 - torch.eye(points.shape[1], device=points.device)
        return (near * others).sum(dim=(1, 2)).mean()


class Equivariance(Loss):
    """Landmarks move as the image does.

    Section "Visual concepts of landmarks", equivariance constraint: the landmarks of the deformed
    view, moved back by the deformation, are compared with those of the original. Works with every
    detector.
    """

    needs_routes: ClassVar[bool] = False
    needs_warps: ClassVar[bool] = True

    def forward(self, step: Step) -> Tensor:
        """Compare the landmarks of both views where the original view has them.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the squared distances in half sides of the image, summed over
            landmarks and averaged over images.
        """
        loaded = step.warps["deformed"].sample_points(step.landmarks["deformed"].points)
        moved = step.warps["original"].map_points(loaded)
        apart = moved - step.landmarks["original"].points
        return apart.square().sum(dim=(1, 2)).mean()


def _spread(step: Step, view: View) -> Tensor:
    """Return the standard deviations of a view's maps in x and y, (B, K, 2), in sides."""
    maps = step.landmarks[view].probability_maps
    if maps is None:
        raise LmkitError(
            "The loss 'structure-concentration' measures probability maps, and this detector "
            "returns none.",
            remedy="Choose a detector that does, such as structure or hourglass, or leave the "
            "loss out.",
        )
    maps = maps.float()
    height, width = maps.shape[-2:]
    mean = mean_position(maps)[..., None]
    x, y = (_centres(size, maps.device) for size in (width, height))
    along_x = (maps.sum(dim=2) * (x - mean[:, :, 0]).square()).sum(dim=2)
    along_y = (maps.sum(dim=3) * (y - mean[:, :, 1]).square()).sum(dim=2)
    # The root has no slope at 0, where a map is a single pixel.
    return torch.stack((along_x, along_y), dim=2).clamp_min(1e-12).sqrt() / 2


def _centres(size: int, device: torch.device) -> Tensor:
    line = torch.arange(size, device=device)
    return from_pixels(torch.stack((line, line), dim=1), size, size)[:, 0]
