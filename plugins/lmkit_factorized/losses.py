"""The method's two losses, over probability maps: follow the warp, and keep apart.

Thewlis et al. 2017, section 3. The probability map p(u | x, r) of landmark r in image x is the
softmax of its score map, and its mean is the landmark.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from lmkit.api import LmkitError, Loss, Step

_VIEWS: tuple[Literal["original", "deformed"], ...] = ("original", "deformed")


class Equivariance(Loss):
    """Expected squared distance between a landmark's places in both views, under the warp.

    The alignment loss of Thewlis et al. 2017, section 3: for each landmark r,

        sum over u, v of |u - g(v)|^2 p(u | x, r) p(v | x', r)

    where g(v) is where in x the view x' shows at v. Its expansion into ``E|u|^2 + E|g(v)|^2 -
    2 E u . E g(v)`` takes time linear in the number of cells (the paper's efficient form). Computed
    is the same sum, from numbers that do not cancel: the two variances, and the squared distance of
    the two means. So a landmark is asked to be at one place, and at the same one in both views.

    Both views are deformed here, and places are compared in the loaded image, where each view's
    warp says that a cell comes from. Where the original view is the loaded image itself, that is
    the formula above, letter by letter. Distances are in half sides of the image.
    """

    needs_routes: ClassVar[bool] = False
    needs_warps: ClassVar[bool] = True

    def forward(self, step: Step) -> Tensor:
        """Compare the landmarks of the original with those of the deformed view.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the mean over images and landmarks.

        Raises:
            LmkitError: If the detector returns no probability maps.
        """
        (mean, spread), (other_mean, other_spread) = (_moments(step, view) for view in _VIEWS)
        apart = (mean - other_mean).square().sum(dim=2)
        return (spread + other_spread + apart).mean()


class Diversity(Loss):
    """How much of the probability of K landmarks lies where another landmark has more.

    The diversity loss of Thewlis et al. 2017, section 3, without which all landmarks may be one:

        K - sum over windows of max over r of (sum of p(u | x, r) over the window)

    The maps are summed over windows that do not overlap, so that landmarks count as one also where
    they share no cell but are close. 0 where no two landmarks share a window, K - 1 where
    all have the same map.

    Args:
        window: Side of the windows, in cells of the probability maps; 1 for no pooling.

    Raises:
        LmkitError: If the window is not above 0.
    """

    needs_routes: ClassVar[bool] = False

    def __init__(self, *, window: int = 4) -> None:
        super().__init__()
        if window < 1:
            raise LmkitError(
                f"loss.factorized-diversity.window={window} holds no cell.",
                remedy="Give it a whole number from 1; 4 is the default.",
            )
        self.window = window

    def forward(self, step: Step) -> Tensor:
        """Measure the overlap in both views.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the mean over images, summed over the two views.

        Raises:
            LmkitError: If the detector returns no probability maps, or maps that one window covers.
        """
        views = [_maps(step, view, "factorized-diversity") for view in _VIEWS]
        height, width = views[0].shape[-2:]
        if self.window >= max(height, width) > 1:
            raise LmkitError(
                f"loss.factorized-diversity.window={self.window} covers all {width} x {height} "
                "cells of the probability maps, so that no two landmarks could be apart.",
                remedy=f"Give it a whole number below {max(height, width)}.",
            )
        return sum((self._overlap(maps) for maps in views), start=views[0].new_zeros(()))

    def _overlap(self, maps: Tensor) -> Tensor:
        """Return the overlap of (B, K, h, w), averaged over the batch."""
        # Divided by 1 instead of by the window's size, the mean is a sum; those at the right and
        # the lower edge hold what cells are left.
        sums = functional.avg_pool2d(maps, self.window, ceil_mode=True, divisor_override=1)
        return (maps.shape[1] - sums.amax(dim=1).sum(dim=(1, 2))).mean()


def _moments(step: Step, view: Literal["original", "deformed"]) -> tuple[Tensor, Tensor]:
    """Return mean (B, K, 2) and variance (B, K) of a view's landmarks, in the loaded image."""
    maps = _maps(step, view, "factorized-equivariance")
    # (B, 2, 1, h * w): where in the loaded image each cell comes from.
    places = step.warps[view].sample_grid(*maps.shape[-2:]).flatten(1, 2).transpose(1, 2)
    places, weights = places.unsqueeze(2), maps.flatten(2).unsqueeze(1)
    # Sums instead of matrix products, which autocast and TF32 would round.
    mean = (weights * places).sum(dim=3, keepdim=True)
    spread = (weights * (places - mean).square()).sum(dim=(1, 3))
    return mean.squeeze(3).transpose(1, 2), spread


def _maps(step: Step, view: Literal["original", "deformed"], loss: str) -> Tensor:
    maps = step.landmarks[view].probability_maps
    if maps is None:
        raise LmkitError(
            f"The loss '{loss}' reads probability maps, and this detector returns none.",
            remedy="Choose a detector that does, as every heatmap detector: hourglass, timm, "
            "factorized.",
        )
    # Half precision, which a detector may hand on, is too coarse for small probabilities.
    return maps.to(torch.promote_types(maps.dtype, torch.float32))
