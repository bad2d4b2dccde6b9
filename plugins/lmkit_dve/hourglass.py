"""The network that describes every pixel: one hourglass of bottleneck blocks."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Padding = Literal["zeros", "replicate"]
"""What convolutions see beyond the edge."""

_MOMENTUM = 0.3
"""Of the running means of BatchNorm."""


class Hourglass(nn.Module):
    """Blocks at several resolutions, each half as fine as the one before.

    The layers are read off the authors' released code: what a resolution starts with is both handed
    to the next coarser one, by max-pooling, and added to what comes back from there, by nearest
    upsampling.

    Args:
        width: Channels, everywhere.
        depth: How often the image is halved.
        blocks: Blocks one after the other, at each place.
        padding: What convolutions see beyond the edge.
    """

    def __init__(self, width: int, depth: int, blocks: int, padding: Padding) -> None:
        super().__init__()
        self.first = chain(width, width, blocks, padding)
        self.coarse = chain(width, width, blocks, padding)
        self.inner: nn.Module = (
            Hourglass(width, depth - 1, blocks, padding)
            if depth > 1
            else chain(width, width, blocks, padding)
        )
        self.last = chain(width, width, blocks, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, h, w) to the same shape; both sides are multiples of ``2^depth``."""
        x = self.first(x)
        coarse = self.last(self.inner(self.coarse(functional.max_pool2d(x, 2))))
        return x + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")


class Bottleneck(nn.Module):
    """A residual block that normalises first: 1x1 to half the width, 3x3, 1x1 to the width.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output, an even number.
        padding: What the 3x3 convolution sees beyond the edge.
    """

    def __init__(self, inputs: int, outputs: int, padding: Padding) -> None:
        super().__init__()
        half = outputs // 2
        self.layers = nn.Sequential(
            *activation(inputs),
            nn.Conv2d(inputs, half, 1),
            *activation(half),
            nn.Conv2d(half, half, 3, padding=1, padding_mode=padding),
            *activation(half),
            nn.Conv2d(half, outputs, 1),
        )
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        result: Tensor = self.skip(x) + self.layers(x)
        return result


def chain(inputs: int, outputs: int, blocks: int, padding: Padding) -> nn.Sequential:
    """Make blocks one after the other; the first changes the width."""
    return nn.Sequential(
        *(Bottleneck(outputs if number else inputs, outputs, padding) for number in range(blocks))
    )


def activation(width: int) -> tuple[nn.Module, nn.Module]:
    """Make a BatchNorm and a ReLU."""
    return nn.BatchNorm2d(width, momentum=_MOMENTUM), nn.ReLU(inplace=True)
