"""The generator: redraws an image so that its landmarks move."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lmkit.geometry.heatmaps import gaussian_heatmaps
from lmkit.interfaces.landmarks import Landmarks


@dataclass(frozen=True)
class Redrawn:
    """What a generator returns that has more to tell than an image.

    Args:
        images: (B, 3, H, W), RGB in [0, 1].
        extras: Anything else by name, (B, ...) each, such as masks; losses find it in
            [Step.extras][lmkit.api.Step].
    """

    images: Tensor
    extras: Mapping[str, Tensor]


def images_of(drawn: Tensor | Redrawn) -> Tensor:
    """Return the images of what a generator returned."""
    return drawn.images if isinstance(drawn, Redrawn) else drawn


class Generator(nn.Module, ABC):
    """Takes one hop of a route.

    Args:
        landmarks: The number of landmarks K.
    """

    component_kind: ClassVar[str] = "generator"
    """What an option of this type takes: a component of this kind."""

    needs_images: ClassVar[bool] = False
    """Whether the generator looks at the images that landmarks were found in: ``source.images``
    and ``target.images``, which are there for such generators alone. The target's may be the very
    image that is to be drawn."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__()
        self.landmarks = landmarks

    @abstractmethod
    def forward(self, images: Tensor, source: Landmarks, target: Landmarks) -> Tensor | Redrawn:
        """Redraw the images with their landmarks at the target.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            source: The landmarks as they are in ``images``.
            target: The landmarks as they should be.

        Returns:
            (B, 3, H, W), RGB in [0, 1]; or that with something else beside it.
        """

    def initialise(self) -> None:
        """Read pretrained weights; called once, when a new run starts."""


class HeatmapGenerator(Generator):
    """A generator that sees the target as Gaussian heatmaps and does not need the source.

    Args:
        landmarks: The number of landmarks K.
        sigma: Standard deviation of a heatmap, in pixels of the heatmap.
        stride: Side of the image divided by the side of its heatmaps.
    """

    def __init__(self, *, landmarks: int, sigma: float = 0.5, stride: int = 4) -> None:
        super().__init__(landmarks=landmarks)
        self.sigma = sigma
        self.stride = stride

    @abstractmethod
    def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor | Redrawn:
        """Redraw the images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            heatmaps: (B, K, H / stride, W / stride), in [0, 1], float32.

        Returns:
            (B, 3, H, W), RGB in [0, 1]; or that with something else beside it.
        """

    def forward(self, images: Tensor, source: Landmarks, target: Landmarks) -> Tensor | Redrawn:
        """See [Generator][lmkit.api.Generator]."""
        height, width = (side // self.stride for side in images.shape[-2:])
        with torch.autocast(images.device.type, enabled=False):
            heatmaps = gaussian_heatmaps(target.points, height, width, self.sigma)
        return self.redraw(images, heatmaps)
