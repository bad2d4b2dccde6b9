"""The method's generator: a feature network, feature transport, and a network that refines."""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lmkit.api import Generator, Landmarks, LmkitError, gaussian_heatmaps
from lmkit_transporter.transport import transport, union


class Transporter(Generator):
    """Redraws an image after transporting features into it (Kulkarni et al. 2019).

    Features of the source, erased around the landmarks of the source and of the target, with the
    features of the target put in around the target's landmarks
    ([transport][lmkit_transporter.transport.transport]), and a network that draws the target from
    these. So of the target it sees what its landmarks point at, and no more. It works with any
    detector, since it needs no more of one than points.

    With three blocks the feature network is the paper's: 3x3 convolutions (the first 7x7), each
    with BatchNorm and ReLU, 32, 32, 64, 64, 128 and 128 channels, the third and the fifth halving
    the image. The refining network is read off the authors' code: two 3x3 convolutions at each
    size, as many channels as the features have, half as many after each bilinear upsampling. Its
    last layer is linear there; here a sigmoid follows, since images are in [0, 1].

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of 2^(blocks - 1).
        width: Channels of the first block; each further block has twice as many.
        blocks: How many blocks there are, of two convolutions each; each but the first halves the
            features.
        sigma: Standard deviation of a landmark's Gaussian, in pixels of the features. The authors'
            is 0.1 half sides in ``exp(-d^2 / sigma^2)``, without the factor 2 that is usual and
            used here: 1.13 pixels of 32.
        stop_source: Whether gradients stop at the source's landmarks and at the feature network
            where it sees the source, as in the paper. The image itself passes them on in any
            case, so that longer routes train.

    Raises:
        LmkitError: If an option or the size of the images is refused.
    """

    needs_images: ClassVar[bool] = True

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 32,
        blocks: int = 3,
        sigma: float = 1.13,
        stop_source: bool = True,
    ) -> None:
        super().__init__(landmarks=landmarks)
        _check(image_size, width, blocks, sigma)
        self.sigma = sigma
        self.stop_source = stop_source
        widths = [width * 2**block for block in range(blocks)]
        layers = [*_activated(3, width, side=7), *_activated(width, width)]
        for inputs, outputs in pairwise(widths):
            layers += [*_activated(inputs, outputs, stride=2), *_activated(outputs, outputs)]
        self.features = nn.Sequential(*layers)
        layers, inputs = [], widths[-1]
        for outputs in widths[:0:-1]:
            layers += [*_activated(inputs, outputs), *_activated(outputs, outputs)]
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            inputs = outputs
        self.refine = nn.Sequential(
            *layers, *_activated(inputs, width), nn.Conv2d(width, 3, 3, padding=1)
        )

    def forward(self, images: Tensor, source: Landmarks, target: Landmarks) -> Tensor:
        """Redraw the images with what the target's landmarks point at.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            source: The landmarks as they are in ``images``.
            target: The landmarks as they should be, and the images they were found in.

        Returns:
            (B, 3, H, W), RGB in [0, 1], float32.

        Raises:
            LmkitError: If the images of the target are not there.
        """
        if target.images is None:
            raise LmkitError(
                "The generator 'transporter' transports features of the target's images, and is "
                "given none.",
                remedy="Call it with Landmarks that have the field images.",
            )
        points = source.points.detach() if self.stop_source else source.points
        before = self._source_features(images)
        after: Tensor = self.features(target.images)
        height, width = after.shape[-2:]
        with torch.autocast(images.device.type, enabled=False):
            here, there = (
                union(gaussian_heatmaps(each, height, width, self.sigma)).to(after.dtype)
                for each in (points, target.points)
            )
        drawn: Tensor = self.refine(transport(before, after, here, there))
        # In half precision the colours next to white would be coarser than those of a PNG.
        return drawn.float().sigmoid()

    def _source_features(self, images: Tensor) -> Tensor:
        """Return the features of the source, from which the feature network does not learn."""
        if not self.stop_source:
            whole: Tensor = self.features(images)
            return whole
        still = {name: each.detach() for name, each in self.features.named_parameters()}
        features: Tensor = functional_call(self.features, still, (images,))
        return features


def _activated(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, BatchNorm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _check(image_size: int, width: int, blocks: int, sigma: float) -> None:
    for name, value in (("width", width), ("blocks", blocks)):
        if value < 1:
            raise LmkitError(
                f"generator.{name}={value} is refused: it is less than 1.",
                remedy=f"Give generator.{name} a whole number from 1.",
            )
    if not 0 < sigma < float("inf"):
        raise LmkitError(
            f"generator.sigma={sigma} is refused: no landmark would have a size.",
            remedy="Give generator.sigma a number above 0, such as 1.13.",
        )
    stride = 2 ** (blocks - 1)
    if image_size % stride or image_size < 2 * stride:
        raise LmkitError(
            f"run.image_size={image_size} is refused: {blocks} blocks halve images "
            f"{blocks - 1} times, to at least two pixels.",
            remedy=f"Give run.image_size a multiple of {stride} from {2 * stride}, or "
            "generator.blocks a smaller number.",
        )
