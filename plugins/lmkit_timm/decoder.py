"""The light decoder: from a backbone's feature maps to score maps."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Decoder(nn.Module):
    """Adds feature maps from coarse to fine, as in a feature pyramid (Lin et al. 2017).

    Each feature map is brought to ``width`` channels; from the coarsest on, the sum is upsampled,
    the next finer one is added, and a 3x3 convolution smooths it. Where even the finest is coarser
    than a quarter of the image (vision transformers), further upsampling follows.

    Args:
        channels: Those of the feature maps, from fine to coarse.
        reductions: Side of the image divided by that of each feature map.
        width: Channels of the decoder.
        landmarks: The number of landmarks K.
        stride: Side of the image divided by that of the score maps.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        *,
        width: int,
        landmarks: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_conv(count, width, 1) for count in channels)
        self.smooth = nn.ModuleList(_conv(width, width, 3) for _ in channels[1:])
        doublings = max(0, round(math.log2(min(reductions) / stride)))
        self.further = nn.ModuleList(_conv(width, width, 3) for _ in range(doublings))
        self.head = nn.Conv2d(width, landmarks, 1)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Decode.

        Args:
            features: (B, C, h, w) each, from fine to coarse.
            size: Height and width of the score maps.

        Returns:
            (B, K, height, width).
        """
        x: Tensor = self.lateral[-1](features[-1])
        finer = zip(features[-2::-1], list(self.lateral)[-2::-1], self.smooth, strict=True)
        for feature, lateral, smooth in finer:
            x = smooth(_resize(x, feature.shape[-2:]) + lateral(feature))
        for smooth in self.further:
            x = smooth(_resize(x, (2 * x.shape[-2], 2 * x.shape[-1])))
        scores: Tensor = self.head(_resize(x, size))
        return scores


def _conv(inputs: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    if x.shape[-2:] == tuple(size):
        return x
    return functional.interpolate(x, size=list(size), mode="bilinear", align_corners=False)
