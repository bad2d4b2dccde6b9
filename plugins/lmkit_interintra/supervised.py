"""Losses against annotated points: what makes the detector that a projection starts from."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lmkit.api import LmkitError, Loss, Step, gaussian_heatmaps
from lmkit_interintra.checks import require

_VIEWS: tuple[Literal["original", "deformed"], ...] = ("original", "deformed")


class HeatmapRegression(Loss):
    """Mean squared difference between score maps and Gaussians at the annotated points.

    Landmark k learns annotated point k, in both views (Tompson et al. 2014; Newell et al. 2016,
    whose Gaussians have a standard deviation of one cell). A point that is not known, or that a
    view does not show, teaches nothing there.

    The Gaussians have a peak of 1, so that the soft-argmax weighs each of the many cells with a
    target of 0 at least ``exp(-beta)`` as much as the peak, and they draw points to the centre.
    Score maps that are perfect here, 32 x 32 with a sigma of 1, give points that are off by 2.4
    pixels of 128 with the paper's beta of 10; on 10 x 10 cells with a beta of 3 by 24 pixels.
    ``points`` with a weight of 0.1 beside this loss makes 0.8 of the former at almost no cost in
    the maps.

    Args:
        sigma: Standard deviation of the Gaussians, in cells of the score maps.

    Raises:
        LmkitError: If sigma is not above 0.
    """

    needs_routes: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = True

    def __init__(self, *, sigma: float = 1.0) -> None:
        super().__init__()
        require(
            0 < sigma < float("inf"),
            "loss.heatmap.sigma",
            sigma,
            why="a Gaussian needs a width",
            remedy="Give loss.heatmap.sigma a number above 0; 1 is the default.",
        )
        self.sigma = sigma

    def forward(self, step: Step) -> Tensor:
        """Compare every score map with its Gaussian.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the mean over the cells of all maps whose point is known; 0 if none
            is.

        Raises:
            LmkitError: If the detector returns no score maps, or not one for each annotated point.
        """
        maps = [step.landmarks[view].score_maps for view in _VIEWS]
        if any(scores is None for scores in maps):
            raise LmkitError(
                "The loss 'heatmap' compares score maps, and this detector returns none.",
                remedy="Compare the points themselves: --loss points.",
            )
        # Half precision, which autocast may have chosen, is too coarse for small differences.
        scores = torch.cat([scores for scores in maps if scores is not None]).float()
        truth, known = _truth(step, "heatmap", scores.shape[1])
        height, width = scores.shape[-2:]
        wanted = gaussian_heatmaps(truth, height, width, self.sigma)
        return _mean((scores - wanted).square().mean(dim=(2, 3)), known)


class PointRegression(Loss):
    """Mean squared distance between landmarks and annotated points, in both views.

    The regression of coordinates of Toshev and Szegedy 2014, for detectors without score maps; and
    beside ``heatmap`` through the soft-argmax, as in Sun et al. 2018 (Integral Human Pose
    Regression). A point that is not known, or that a view does not show, teaches nothing there.
    """

    needs_routes: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = True

    def forward(self, step: Step) -> Tensor:
        """Compare every landmark with its annotated point.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the squared distance, in [-1, 1] coordinates, averaged over all points
            that are known; 0 if none is.

        Raises:
            LmkitError: If there is not one landmark for each annotated point.
        """
        found = torch.cat([step.landmarks[view].points for view in _VIEWS])
        truth, known = _truth(step, "points", found.shape[1])
        return _mean((found - truth).square().sum(dim=2), known)


def _truth(step: Step, loss: str, landmarks: int) -> tuple[Tensor, Tensor]:
    """Return the points of both views, (2B, K, 2), any number where not known; and which are."""
    truth = torch.cat([step.truth[view] for view in _VIEWS])
    if truth.shape[1] != landmarks:
        raise LmkitError(
            f"The loss '{loss}' teaches each landmark one annotated point, and there are "
            f"{landmarks} landmarks for {truth.shape[1]} points.",
            remedy=f"Give --landmarks {truth.shape[1]}, or use lmkit pretrain, which does.",
        )
    return truth.nan_to_num(0.0), truth.isfinite().all(dim=2)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Average (N, K) over what is known, without asking the device how many that are."""
    return values.where(known, 0.0).sum() / known.sum().clamp(min=1)
