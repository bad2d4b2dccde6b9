"""Small networks that stand in for those of a run, for losses that call them."""

import torch
from torch import Tensor, nn

from lmkit.interfaces.detector import HeatmapDetector
from lmkit.interfaces.generator import HeatmapGenerator
from lmkit.seeds import derive


class _Detector(HeatmapDetector):
    def __init__(self, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = nn.Conv2d(3, landmarks, 5, stride=4, padding=2)

    def score_maps(self, images: Tensor) -> Tensor:
        """See [HeatmapDetector][lmkit.api.HeatmapDetector]."""
        scores: Tensor = self.layer(images)
        return scores


class _Generator(HeatmapGenerator):
    def __init__(self, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = nn.Conv2d(landmarks, 3, 1)

    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
        """See [HeatmapGenerator][lmkit.api.HeatmapGenerator]."""
        drawn = nn.functional.interpolate(self.layer(heatmaps), images.shape[-2:])
        return (images + drawn).sigmoid()


def stand_ins(landmarks: int) -> tuple[nn.Module, nn.Module]:
    """Return a detector and a generator, the same ones for the same number of landmarks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(0, "stand-ins"))
        return _Detector(landmarks), _Generator(landmarks)
