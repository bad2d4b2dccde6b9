"""The method's decoder, and the descriptors that it draws from."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import Generator, Landmarks
from lmkit_structure.hourglass import Hourglass, require_at_least, require_multiple
from lmkit_structure.maps import shares


class StructureGenerator(Generator):
    """Takes an image apart into descriptors, and draws one from descriptors and landmarks alone.

    Zhang et al. 2018, sections "Local latent descriptors" and "Landmark-based decoder". A network
    describes every pixel; where the landmarks of the source are, and in the background, that
    description is averaged and projected to a few numbers, by a matrix of each landmark's own.
    The decoder sees nothing else of the image: the descriptors, projected back, are spread by
    the shares that the landmarks of the target have in each pixel, with Gaussians of several
    widths, and an hourglass makes an image of that. With one and the same landmarks as source and
    target this is the paper's autoencoder; with another view's as target, the image moves.

    Widths and depths are read off the authors' released code; the feature network has 4.7 M and
    the decoder 14.4 M parameters at K = 10, together 14.2 GFLOP for an image of 80 pixels.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of
            ``stride * 2^(depth + 1)``.
        width: Channels of the description of each pixel, and at the decoder's finest resolution;
            they double from one resolution to the next.
        depth: How often the feature network halves the image; the decoder halves it once more.
        descriptors: Numbers that describe what is at a landmark.
        sigma: Standard deviation of the narrowest Gaussians, in sides of the image.
        scales: Gaussians of how many widths the decoder sees, each sqrt(2) times as wide as the
            one before.
        stride: Pixels of the image, along each side, that make one cell of the networks. The
            authors have 1. With 2 a step costs a quarter; what the Gaussians leave is blurred
            wider than such a cell anyway.
        skips: Convolutions on each skip connection.

    Raises:
        LmkitError: If an option is refused, or images cannot be halved that often.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 64,
        depth: int = 3,
        descriptors: int = 8,
        sigma: float = 0.125,
        scales: int = 5,
        stride: int = 1,
        skips: int = 2,
    ) -> None:
        super().__init__(landmarks=landmarks)
        require_at_least("generator", 2, width=width)
        require_at_least("generator", 1, depth=depth, descriptors=descriptors, scales=scales)
        require_at_least("generator", 1, stride=stride, skips=skips)
        require_at_least("generator", 0.001, sigma=sigma)
        require_multiple(image_size, image_size, depth + 1, network="generator", stride=stride)
        self.depth = depth
        self.stride = stride
        self.sigmas = [sigma * 2 ** (number / 2) for number in range(scales)]
        coarser = [[width * 2**number] for number in range(1, depth + 1)]
        self.features = Hourglass(
            3 * stride**2, width, [[width // 2, width], *coarser], skips=skips
        )
        parts = landmarks + 1
        self.compress = nn.Parameter(torch.empty(parts, width, descriptors))
        self.expand = nn.Parameter(torch.empty(parts, descriptors, width))
        for matrices in (self.compress, self.expand):
            limit = (3 / matrices.shape[1]) ** 0.5  # What comes out varies as much as what goes in.
            nn.init.uniform_(matrices, -limit, limit)
        self.decoder = Hourglass(
            scales * (parts + width),
            3 * stride**2,
            [[width, width], *coarser, coarser[-1]],
            skips=skips,
            last=nn.Conv2d(width, 3 * stride**2, 3, padding=1),
        )

    def describe(self, images: Tensor, points: Tensor) -> Tensor:
        """Describe what is at each landmark, and the background.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            points: (B, K, 2), where the landmarks are in them.

        Returns:
            (B, K + 1, descriptors), float32; the background's last.
        """
        features = self.features(functional.pixel_unshuffle(images, self.stride))
        height, width = features.shape[-2:]
        masks = shares(points, height, width, self.sigmas[0]).flatten(2)
        # Sums over all pixels are too long for half precision.
        with torch.autocast(images.device.type, enabled=False):
            pooled = masks @ features.float().flatten(2).transpose(1, 2)
            means = pooled / masks.sum(dim=2, keepdim=True)
            return torch.einsum("bkc,kcd->bkd", means, self.compress)

    def draw(self, descriptors: Tensor, points: Tensor, height: int, width: int) -> Tensor:
        """Draw images from descriptors and landmarks alone.

        Args:
            descriptors: (B, K + 1, descriptors), the background's last.
            points: (B, K, 2), where the landmarks shall be.
            height: Of the images, in pixels.
            width: Of the images, in pixels.

        Returns:
            (B, 3, height, width), RGB in [0, 1], float32.
        """
        height, width = height // self.stride, width // self.stride
        maps = [shares(points, height, width, sigma) for sigma in self.sigmas]
        with torch.autocast(points.device.type, enabled=False):
            local = torch.einsum("bkd,kdc->bck", descriptors.float(), self.expand)
            spread = [(local @ each.flatten(2)).unflatten(2, (height, width)) for each in maps]
        drawn: Tensor = self.decoder(torch.cat((*maps, *spread), dim=1))
        return functional.pixel_shuffle(drawn, self.stride).float().sigmoid()

    def forward(self, images: Tensor, source: Landmarks, target: Landmarks) -> Tensor:
        """See [Generator][lmkit.api.Generator]."""
        height, width = images.shape[-2:]
        require_multiple(height, width, self.depth + 1, network="generator", stride=self.stride)
        return self.draw(self.describe(images, source.points), target.points, height, width)
