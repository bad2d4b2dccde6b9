"""The image generation network: features of the source, heatmaps of the target, rendered."""

import torch
from torch import Tensor, nn

from lmkit.api import HeatmapGenerator
from lmkit_imm.encoder import Encoder, activated, check, convolution


class ConditionalGenerator(HeatmapGenerator):
    """The generator of Jakab et al. 2018: what an image shows, drawn where the heatmaps say.

    An [encoder][lmkit_imm.encoder.Encoder] of the image, like the detector's; its features and
    the heatmaps of the target, side by side; and a renderer of as many blocks, of two 3x3
    convolutions each, with bilinear upsampling in between and half as many channels after each.
    The renderer starts with 8 times the encoder's width (256 for 32) and keeps at least that
    width. Its last layer is linear in the paper; here a sigmoid follows, since images are in
    [0, 1].

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of 2^(blocks - 1).
        width: Channels of the encoder's first block; each further block has twice as many.
        blocks: How many blocks the encoder and the renderer have. Heatmaps are the image halved
            once less than there are blocks.
        sigma: Standard deviation of the Gaussian heatmaps, in pixels of the heatmap. The paper's
            is 0.1 half sides, which is 0.8 pixels of 16.

    Raises:
        LmkitError: If an option or the size of the images is refused.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 32,
        blocks: int = 4,
        sigma: float = 0.8,
    ) -> None:
        check("generator", image_size, width, blocks, sigma=sigma)
        super().__init__(landmarks=landmarks, sigma=sigma, stride=2 ** (blocks - 1))
        self.encoder = Encoder(width, blocks)
        layers: list[nn.Module] = []
        inputs, outputs = self.encoder.channels + landmarks, 8 * width
        for _ in range(blocks - 1):
            layers += [*activated(inputs, outputs), *activated(outputs, outputs)]
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            inputs, outputs = outputs, max(outputs // 2, width)
        # At full resolution, the second layer of the block is the one that draws.
        self.renderer = nn.Sequential(*layers, *activated(inputs, outputs))
        self.colours = convolution(outputs, 3, 3)

    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
        """Redraw the images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            heatmaps: (B, K, H / stride, W / stride), in [0, 1].

        Returns:
            (B, 3, H, W), RGB in [0, 1], float32.
        """
        encoded: Tensor = self.encoder(images)
        joint = torch.cat((encoded, heatmaps.to(encoded.dtype)), dim=1)
        drawn: Tensor = self.colours(self.renderer(joint))
        # In half precision the colours next to white would be coarser than those of a PNG.
        return drawn.float().sigmoid()
