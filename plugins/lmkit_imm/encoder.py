"""The encoder that the detector and the generator each have one of, and what both refuse."""

from itertools import pairwise

from torch import Tensor, nn

from lmkit.api import LmkitError


class Encoder(nn.Module):
    """Blocks of two convolutions each, every one but the first halving the image.

    Jakab et al. 2018, section 4, "Model details": 3x3 filters, 7x7 in the first layer; 32 channels
    in the first block, twice as many in each further one; the first layer of a block halves the
    side. Batch normalisation and ReLU after every layer are read off the authors' code, as is the
    start: normal noise of standard deviation 0.01, cut off at twice that.

    Args:
        width: Channels of the first block.
        blocks: How many blocks there are.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        widths = [width * 2**block for block in range(blocks)]
        self.channels = widths[-1]
        layers = [*activated(3, width, 7), *activated(width, width)]
        for inputs, outputs in pairwise(widths):
            layers += [*activated(inputs, outputs, stride=2), *activated(outputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, channels, H / 2^(blocks - 1), W / 2^(blocks - 1))."""
        features: Tensor = self.layers(images)
        return features


def activated(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, batch normalisation and ReLU."""
    conv = convolution(inputs, outputs, size, stride, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """Return a convolution that starts as the authors' do."""
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)
    nn.init.trunc_normal_(conv.weight, std=0.01, a=-0.02, b=0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def check(component: str, image_size: int, width: int, blocks: int, **above_0: float) -> None:
    """Refuse values that have the right type and no sense.

    Args:
        component: Whose they are, detector or generator.
        image_size: Side of the images.
        width: Channels of the first block.
        blocks: How many blocks there are.
        above_0: Further options, which have to be above 0.

    Raises:
        LmkitError: If a value is refused.
    """
    for name, value in (("width", width), ("blocks", blocks)):
        if value < 1:
            raise LmkitError(
                f"{component}.{name}={value} is refused: it is less than 1.",
                remedy=f"Give {component}.{name} a whole number from 1.",
            )
    for name, number in above_0.items():
        if not 0 < number < float("inf"):
            raise LmkitError(
                f"{component}.{name}={number} is refused.",
                remedy=f"Give {component}.{name} a number above 0.",
            )
    stride = 2 ** (blocks - 1)
    if image_size % stride or image_size < 2 * stride:
        raise LmkitError(
            f"run.image_size={image_size} is refused: {blocks} blocks halve images "
            f"{blocks - 1} times, to at least two pixels.",
            remedy=f"Give run.image_size a multiple of {stride} from {2 * stride}, or "
            f"{component}.blocks a smaller number.",
        )
