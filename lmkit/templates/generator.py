"""A generator as small as one can be: it sees the target as heatmaps, which lmkit draws."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import HeatmapGenerator


class Painter(HeatmapGenerator):
    """Looks at an image at a quarter of its size beside the heatmaps, and paints it anew.

    Args:
        landmarks: The number of landmarks K.
        width: Channels of the first convolution; the others have twice as many.
        sigma: Standard deviation of a heatmap, in its pixels.
    """

    def __init__(self, *, landmarks: int, width: int = 16, sigma: float = 0.8) -> None:
        super().__init__(landmarks=landmarks, sigma=sigma, stride=4)
        self.encoder = nn.Sequential(
            *_activated(nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False)),
            *_activated(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),
        )
        self.decoder = nn.Sequential(
            *_activated(nn.Conv2d(2 * width + landmarks, 2 * width, 3, padding=1, bias=False)),
            *_activated(nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)),
            # Each place of the small map holds the 4 x 4 pixels that it stands for.
            nn.Conv2d(2 * width, 3 * 4 * 4, 3, padding=1),
        )

    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
        """Map (B, 3, H, W) and (B, K, H / 4, W / 4) to (B, 3, H, W), RGB in [0, 1]."""
        encoded: Tensor = self.encoder(images)
        joint = torch.cat((encoded, heatmaps.to(encoded.dtype)), dim=1)
        drawn = functional.pixel_shuffle(self.decoder(joint), 4)
        # In half precision the colours next to white would be coarser than those of a PNG.
        return drawn.float().sigmoid()


def _activated(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)
