"""The method's detector: describes every pixel, and reads landmarks off the descriptors."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import HeatmapDetector, Landmarks, LmkitError, mean_position, spatial_softmax
from lmkit_dve.hourglass import Hourglass, Padding, activation, chain


class DescriptorDetector(HeatmapDetector):
    """A dense network of descriptors, and K filters on top of it.

    Thewlis et al. 2019: a network gives every pixel u a descriptor ``Phi_u(x)``; for landmarks,
    1x1 filters are compared with all descriptors, and the mean position under the softmax of each
    filter's responses is a virtual point. Here these points are the landmarks, descriptors and
    filters have length 1, and score maps are their cosines. The descriptors of the whole image
    are handed on as ``features``.

    The layers are read off the authors' released code: a 7x7 convolution of stride 2, three blocks,
    one hourglass, blocks and two 1x1 convolutions. 12.6 M parameters and 14.5 GFLOP for an image
    of 96 pixels, whose maps are 48 x 48.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of ``2^(depth + 1)``.
        descriptor: Length of a descriptor, in numbers.
        width: Channels of the hourglass, a multiple of 4; the first layers have a quarter and half.
        depth: How often the hourglass halves its maps, which are half of the image.
        blocks: Blocks at each place of the hourglass.
        beta: Smoothness of the soft-argmax over cosines; the larger, the closer to the maximum.
        detached: Whether losses on the landmarks train the filters alone, as in the paper, where
            the network has learned before. A loss that is to train the network by the landmarks,
            such as reconstruction, needs false.
        padding: What convolutions see beyond the edge: zeros, as in the authors' code, or the edge
            repeated, as in the views themselves. Zeros tell each position where in the image it
            is, which is not what a descriptor is to say.

    Raises:
        LmkitError: If an option is refused, or images cannot be halved that often.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        descriptor: int = 64,
        width: int = 256,
        depth: int = 4,
        blocks: int = 4,
        beta: float = 20.0,
        detached: bool = False,
        padding: Padding = "zeros",
    ) -> None:
        super().__init__(landmarks=landmarks, beta=beta)
        _check_options(descriptor=descriptor, width=width, depth=depth, blocks=blocks, beta=beta)
        self.depth = depth
        self.detached = detached
        _check_size(image_size, image_size, depth)
        self.network = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, stride=2, padding=3, padding_mode=padding),
            *activation(width // 4),
            chain(width // 4, width // 2, 1, padding),
            chain(width // 2, width, 1, padding),
            chain(width, width, 1, padding),
            Hourglass(width, depth, blocks, padding),
            chain(width, width, blocks, padding),
            nn.Conv2d(width, width, 1),
            *activation(width),
            nn.Conv2d(width, descriptor, 1),
        )
        self.filters = nn.Parameter(torch.randn(landmarks, descriptor))

    def describe(self, images: Tensor) -> Tensor:
        """Describe every second pixel.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, descriptor, H / 2, W / 2), float32; every position's vector has length 1.

        Raises:
            LmkitError: If a side is not a multiple of ``2^(depth + 1)``.
        """
        _check_size(images.shape[-2], images.shape[-1], self.depth)
        return functional.normalize(self.network(images).float(), dim=1)

    def score_maps(self, images: Tensor) -> Tensor:
        """Compare every position with the filters.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, K, H / 2, W / 2), cosines, float32.
        """
        return self._scores(self.describe(images))

    def forward(self, images: Tensor) -> Landmarks:
        """See [Detector][lmkit.api.Detector]."""
        features = self.describe(images)
        scores = self._scores(features)
        maps = spatial_softmax(scores, self.beta)
        return Landmarks(
            mean_position(maps), score_maps=scores, probability_maps=maps, features=features
        )

    def _scores(self, features: Tensor) -> Tensor:
        """Return the cosines of filters and descriptors, (B, K, h, w)."""
        if self.detached:
            features = features.detach()
        # Positions are read from small differences of cosines, which half precision would round.
        with torch.autocast(features.device.type, enabled=False):
            filters = functional.normalize(self.filters.float(), dim=1)
            return torch.einsum("kc,bchw->bkhw", filters, features)


def _check_options(*, width: int, beta: float, **least_one: int) -> None:
    for name, value in least_one.items():
        if value < 1:
            raise LmkitError(
                f"detector.{name}={value} is less than 1.",
                remedy=f"Give detector.{name} a whole number from 1.",
            )
    if width < 4 or width % 4:
        raise LmkitError(
            f"detector.width={width} cannot be divided by 4.",
            remedy="Give detector.width a multiple of 4; the authors' is 256.",
        )
    if not 0 < beta < float("inf"):
        raise LmkitError(
            f"detector.beta={beta} is refused: the soft-argmax would not look for the maximum.",
            remedy="Give detector.beta a number above 0; 20 is the default.",
        )


def _check_size(height: int, width: int, depth: int) -> None:
    unit = 2 ** (depth + 1)
    if height % unit or width % unit or not height or not width:
        raise LmkitError(
            f"Images of {width} x {height} pixels cannot be halved {depth + 1} times, as the "
            "detector 'dve' does.",
            remedy=f"Give run.image_size a multiple of {unit}, or a smaller detector.depth.",
        )
