"""The paper's generator: an encoder, residual blocks that see the heatmaps, and a decoder."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import HeatmapGenerator
from lmkit_interintra.checks import require
from lmkit_interintra.padding import pad_channels, pad_input, round_up


class ResidualGenerator(HeatmapGenerator):
    """The generator of Li et al. 2020: the image's features and the heatmaps, redrawn together.

    The default width is what the paper's authors ran: 2.4 M parameters and 5.7 GFLOP for an image
    of 128 pixels and K = 10, a quarter of what the paper's own width of 64 costs (9.0 M, 20.7
    GFLOP) with the same structure.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of ``shrink * 2^halvings``.
        width: Channels after the first layer; the residual blocks have four times as many and K
            more. 32 is what the authors ran, 64 what the paper states.
        blocks: How many residual blocks there are.
        sigma: Standard deviation of the Gaussian heatmaps, in pixels of the heatmap.
        halvings: How often the encoder halves the image and doubles its channels. The heatmaps have
            the resolution that it ends at: a quarter of the image's with the paper's 2.
        shrink: Pixels of the image for one that the generator works with, in each direction: images
            are averaged before the encoder, and what the decoder draws is enlarged. 2 leaves a
            quarter of the work, and blurred images; 1 is the paper's.
        pad: The channels of the residual blocks and after are rounded up to a multiple of this by
            channels that are and stay zero: the same function and the same checkpoint of weights.
            8 suits a GPU's tensor cores where 4 width + K is no multiple of it.

    Raises:
        LmkitError: If an option or the size of the images is refused.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 32,
        blocks: int = 6,
        sigma: float = 0.5,
        halvings: int = 2,
        shrink: int = 1,
        pad: int = 1,
    ) -> None:
        stride = shrink * 2**halvings
        super().__init__(landmarks=landmarks, sigma=sigma, stride=stride)
        _check(image_size, stride, sigma, width=width, blocks=blocks, halvings=halvings,
               shrink=shrink, pad=pad)  # fmt: skip
        self.shrink = shrink
        widths = [width * 2**number for number in range(halvings + 1)]
        inner = widths[-1] + landmarks
        narrowing = [inner // 2**number for number in range(halvings + 1)]
        self.encoder = nn.Sequential(
            *_activated(nn.Conv2d(3, width, 7, padding=3, bias=False)),
            *(
                each
                for fine, coarse in pairwise(widths)
                for each in _activated(nn.Conv2d(fine, coarse, 4, 2, padding=1, bias=False))
            ),
        )
        # The heatmaps join features of another scale.
        self.joint = nn.BatchNorm2d(inner)
        self.blocks = nn.Sequential(*(_ResidualBlock(inner) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            *(
                each
                for coarse, fine in pairwise(narrowing)
                for each in _activated(
                    nn.ConvTranspose2d(coarse, fine, 4, 2, padding=1, bias=False)
                )
            ),
            nn.Conv2d(narrowing[-1], 3, 7, padding=3, bias=False),
        )
        self.inner = round_up(inner, pad)
        if pad > 1:
            pad_channels(self, ("joint", "blocks", "decoder"), pad)

    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
        """Redraw the images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            heatmaps: (B, K, H / stride, W / stride), in [0, 1], where a stride is
                ``shrink * 2^halvings`` pixels.

        Returns:
            (B, 3, H, W), RGB in [0, 1], float32.
        """
        small = functional.avg_pool2d(images, self.shrink) if self.shrink > 1 else images
        encoded: Tensor = self.encoder(small)
        both = torch.cat((encoded, heatmaps.to(encoded.dtype)), dim=1)
        joint = self.joint(pad_input(both, self.inner))
        drawn: Tensor = self.decoder(self.blocks(joint))
        # In half precision the colours next to white would be coarser than those of a PNG.
        drawn = (drawn.float().tanh() + 1) / 2
        if self.shrink == 1:
            return drawn
        return functional.interpolate(drawn, scale_factor=self.shrink, mode="bilinear")


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_activated(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


def _activated(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)


def _check(image_size: int, stride: int, sigma: float, **counts: int) -> None:
    least = {"width": 1, "blocks": 0, "halvings": 0, "shrink": 1, "pad": 1}
    for name, value in counts.items():
        require(
            value >= least[name],
            f"generator.{name}",
            value,
            why=f"it is less than {least[name]}",
            remedy=f"Give generator.{name} a whole number from {least[name]}.",
        )
    require(
        sigma > 0,
        "generator.sigma",
        sigma,
        why="a heatmap needs an extent",
        remedy="Give generator.sigma a number above 0; the paper's is 0.5.",
    )
    require(
        image_size % stride == 0,
        "run.image_size",
        image_size,
        why=f"the residual generator's heatmaps are {stride} times smaller (generator.shrink times "
        "2 for each of generator.halvings)",
        remedy=f"Give run.image_size a multiple of {stride}.",
    )
