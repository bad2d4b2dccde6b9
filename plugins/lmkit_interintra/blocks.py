"""The parts an hourglass network is made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Conv3x3 = Callable[[int, int], nn.Module]
"""Makes a 3x3 convolution without bias from its numbers of input and output channels."""


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size of the map, without bias."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Block(nn.Module):
    """The hierarchical, parallel and multi-scale block of Bulat and Tzimiropoulos (2017).

    Three 3x3 convolutions in a row, each after BatchNorm and ReLU, give a half and two quarters of
    the output channels, which are concatenated and added to the input (brought to the same width
    by BatchNorm, ReLU and a 1x1 convolution where they differ).

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output, a multiple of 4.
        conv: Makes the 3x3 convolutions.
    """

    def __init__(self, inputs: int, outputs: int, conv: Conv3x3 = conv3x3) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.first = _activated(inputs, conv(inputs, half))
        self.second = _activated(half, conv(half, quarter))
        self.third = _activated(quarter, conv(quarter, quarter))
        self.shortcut: nn.Module = (
            nn.Identity()
            if inputs == outputs
            else _activated(inputs, nn.Conv2d(inputs, outputs, 1, bias=False))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        first = self.first(x)
        second = self.second(first)
        third = self.third(second)
        residual: Tensor = self.shortcut(x)
        return torch.cat((first, second, third), dim=1) + residual


class PlainBlock(nn.Sequential):
    """A single 3x3 convolution with BatchNorm and ReLU: a fraction of the work of a Block.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        conv: Makes the 3x3 convolution.
    """

    def __init__(self, inputs: int, outputs: int, conv: Conv3x3 = conv3x3) -> None:
        super().__init__(conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


MakeBlock = Callable[[int, int, Conv3x3], nn.Module]
"""Makes a block from its numbers of input and output channels, and what makes its convolutions."""


class HourglassModule(nn.Module):
    """One hourglass: down to a small map and up again, with a block on every skip (Newell 2016).

    Args:
        depth: How often the map is halved.
        features: Channels everywhere.
        conv: Makes the 3x3 convolutions.
        block: Makes the blocks.
    """

    def __init__(
        self, depth: int, features: int, conv: Conv3x3 = conv3x3, block: MakeBlock = Block
    ) -> None:
        super().__init__()
        self.skip = block(features, features, conv)
        self.down = block(features, features, conv)
        self.inner: nn.Module = (
            HourglassModule(depth - 1, features, conv, block)
            if depth > 1
            else block(features, features, conv)
        )
        self.up = block(features, features, conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, features, h, w) to the same shape; h and w must be multiples of 2^depth."""
        low = self.up(self.inner(self.down(functional.avg_pool2d(x, 2))))
        skip: Tensor = self.skip(x)
        return skip + functional.interpolate(low, scale_factor=2, mode="nearest")


def _activated(channels: int, conv: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv)
