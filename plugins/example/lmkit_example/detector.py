"""A detector as small as one can be: it writes score maps, and lmkit does the rest."""

from pathlib import Path

from torch import Tensor, nn

from lmkit.api import HeatmapDetector, load_weights


class Tiny(HeatmapDetector):
    """Four convolutions; score maps are a quarter of the image in each direction.

    Args:
        landmarks: The number of landmarks K.
        width: Channels of the first convolution; the others have twice as many.
        beta: Smoothness of the soft-argmax; the larger, the closer to the maximum.
        weights: Weights to start from; read once, when a run starts.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        width: int = 16,
        beta: float = 10.0,
        weights: Path | None = None,
    ) -> None:
        super().__init__(landmarks=landmarks, beta=beta)
        self.weights = weights
        self.layers = nn.Sequential(
            *_activated(nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False)),
            *_activated(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),
            *_activated(nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)),
            nn.Conv2d(2 * width, landmarks, 1),
        )

    def score_maps(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W), RGB in [0, 1], to (B, K, H / 4, W / 4)."""
        scores: Tensor = self.layers(images)
        return scores

    def initialise(self) -> None:
        """Read the weights, where a file is named."""
        if self.weights is not None:
            self.load_state_dict(load_weights(self.weights, option="detector.weights"))


def _activated(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)
