"""Two detectors as one: their landmarks, weighed by a number that is learned for each."""

import torch
from torch import Tensor, nn

from lmkit.api import Component, Detector, Landmarks, hookimpl


class Ensemble(Detector):
    """Finds landmarks with two detectors, and returns a mean of what they find.

    Args:
        landmarks: The number of landmarks K.
        first: A detector.
        second: Another one.
    """

    def __init__(self, *, landmarks: int, first: Detector, second: Detector) -> None:
        super().__init__(landmarks=landmarks)
        self.first, self.second = first, second
        self.share = nn.Parameter(torch.zeros(landmarks, 1))

    def forward(self, images: Tensor) -> Landmarks:
        """Find the landmarks."""
        one, other = self.first(images).points, self.second(images).points
        share = self.share.sigmoid()
        return Landmarks(share * one + (1 - share) * other)


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce it."""
    return [Component("detector", "ensemble", f"{__name__}:Ensemble", "two detectors as one")]
