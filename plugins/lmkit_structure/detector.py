"""The method's detector: landmarks and the background compete for every pixel."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import HeatmapDetector, Landmarks
from lmkit_structure.hourglass import Hourglass, require_at_least, require_multiple


class StructureDetector(HeatmapDetector):
    """The landmark detector of Zhang et al. 2018 (section "Architecture of landmark detector").

    An hourglass writes K + 1 raw maps of the image's own size; a softmax across them makes a
    detection confidence map ``D_k`` of each landmark, and one of the background. A landmark is the
    mean position weighted by its map. The score maps here are ``log D_k``: their softmax over all
    positions is ``D_k`` divided by its sum, so that the core's soft-argmax with a beta of 1 is
    that weighted mean. A landmark's confidence is the largest value of its map.

    The layers are read off the authors' released code: two convolutions at each of four
    resolutions, 32 channels at the finest and 64 below, three on every skip connection, BatchNorm
    on the raw maps too. 0.68 M parameters and 1.6 GFLOP for an image of 80 pixels at K = 10.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of ``stride * 2^depth``.
        width: Channels at the finest resolution; the coarser ones have twice as many.
        depth: How often the hourglass halves the image.
        sharpness: What the raw maps, whose deviation BatchNorm makes 1 at the start, are multiplied
            by before the softmax. The authors' code has 1; more makes maps narrow sooner.
        stride: Pixels of the image, along each side, that make one cell of the maps. The authors
            have 1. With 2 a step costs a quarter in a network of the same width: the pixels of a
            cell enter it as channels, and none is lost.
        skips: Convolutions on each skip connection.

    Raises:
        LmkitError: If an option is refused, or images cannot be halved that often.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 32,
        depth: int = 3,
        sharpness: float = 1.0,
        stride: int = 1,
        skips: int = 3,
    ) -> None:
        super().__init__(landmarks=landmarks, beta=1.0)
        require_at_least("detector", 1, width=width, depth=depth, stride=stride, skips=skips)
        require_at_least("detector", 0.01, sharpness=sharpness)
        require_multiple(image_size, image_size, depth, network="detector", stride=stride)
        self.depth = depth
        self.stride = stride
        self.sharpness = sharpness
        levels = [[width, width]] + [[2 * width, 2 * width]] * depth
        last = nn.Sequential(
            nn.Conv2d(width, landmarks + 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(landmarks + 1),
        )
        self.hourglass = Hourglass(3 * stride**2, landmarks + 1, levels, skips=skips, last=last)

    def score_maps(self, images: Tensor) -> Tensor:
        """Score every pixel.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, K, H / stride, W / stride), the logarithm of each landmark's share of each cell,
            float32.

        Raises:
            LmkitError: If a side is not a multiple of ``stride * 2^depth``.
        """
        height, width = images.shape[-2:]
        require_multiple(height, width, self.depth, network="detector", stride=self.stride)
        cells = functional.pixel_unshuffle(images, self.stride)
        if images.device.type == "mps":
            # There, gradients of BatchNorm are wrong in another layout than torch's own.
            raw: Tensor = self.hourglass(cells)
        else:
            raw = self.hourglass(cells.contiguous(memory_format=torch.channels_last))
            if raw.requires_grad:
                # BatchNorm's backward pass is far slower where gradient and input differ in layout.
                raw.register_hook(lambda slope: slope.contiguous(memory_format=torch.channels_last))
        # The last map is the background's.
        return (self.sharpness * raw.float()).log_softmax(dim=1)[:, :-1]

    def forward(self, images: Tensor) -> Landmarks:
        """See [Detector][lmkit.api.Detector]."""
        found = super().forward(images)
        assert found.score_maps is not None
        return replace(found, confidence=found.score_maps.exp().amax(dim=(2, 3)))
