"""The paper's generator: an encoder, residual blocks that see the heatmaps, and a decoder."""

import torch
from torch import Tensor, nn

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
        image_size: Side of the square images in pixels, a multiple of 4.
        width: Channels after the first layer; the residual blocks have four times as many and K
            more. 32 is what the authors ran, 64 what the paper states.
        blocks: How many residual blocks there are.
        sigma: Standard deviation of the Gaussian heatmaps, in pixels of the heatmap (a quarter of
            the image's resolution).
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
        pad: int = 1,
    ) -> None:
        super().__init__(landmarks=landmarks, sigma=sigma, stride=4)
        _check(image_size, width, blocks, sigma, pad)
        inner = 4 * width + landmarks
        self.encoder = nn.Sequential(
            *_activated(nn.Conv2d(3, width, 7, padding=3, bias=False)),
            *_activated(nn.Conv2d(width, 2 * width, 4, 2, padding=1, bias=False)),
            *_activated(nn.Conv2d(2 * width, 4 * width, 4, 2, padding=1, bias=False)),
        )
        # The heatmaps join features of another scale.
        self.joint = nn.BatchNorm2d(inner)
        self.blocks = nn.Sequential(*(_ResidualBlock(inner) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            *_activated(nn.ConvTranspose2d(inner, inner // 2, 4, 2, padding=1, bias=False)),
            *_activated(nn.ConvTranspose2d(inner // 2, inner // 4, 4, 2, padding=1, bias=False)),
            nn.Conv2d(inner // 4, 3, 7, padding=3, bias=False),
        )
        self.inner = round_up(inner, pad)
        if pad > 1:
            pad_channels(self, ("joint", "blocks", "decoder"), pad)

    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
        """Redraw the images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            heatmaps: (B, K, H / 4, W / 4), in [0, 1].

        Returns:
            (B, 3, H, W), RGB in [0, 1], float32.
        """
        encoded: Tensor = self.encoder(images)
        both = torch.cat((encoded, heatmaps.to(encoded.dtype)), dim=1)
        joint = self.joint(pad_input(both, self.inner))
        drawn: Tensor = self.decoder(self.blocks(joint))
        # In half precision the colours next to white would be coarser than those of a PNG.
        return (drawn.float().tanh() + 1) / 2


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


def _check(image_size: int, width: int, blocks: int, sigma: float, pad: int) -> None:
    for name, value, least in (("width", width, 1), ("blocks", blocks, 0), ("pad", pad, 1)):
        require(
            value >= least,
            f"generator.{name}",
            value,
            why=f"it is less than {least}",
            remedy=f"Give generator.{name} a whole number from {least}.",
        )
    require(
        sigma > 0,
        "generator.sigma",
        sigma,
        why="a heatmap needs an extent",
        remedy="Give generator.sigma a number above 0; the paper's is 0.5.",
    )
    require(
        image_size % 4 == 0,
        "run.image_size",
        image_size,
        why="the residual generator halves images twice",
        remedy="Give run.image_size a multiple of 4.",
    )
