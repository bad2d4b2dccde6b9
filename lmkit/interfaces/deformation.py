"""The deformation: turns images into pairs of views whose geometry is known."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lmkit.geometry.warps import Warp


class Views(NamedTuple):
    """Two views of each image, and the warps that lead to them.

    The views are called x (original) and x' (deformed) in Li et al. 2020. A point p of the loaded
    image is at ``original_warp.map_points(p)`` in the original view.
    """

    original: Tensor
    """(B, 3, H, W), RGB in [0, 1]."""
    deformed: Tensor
    """(B, 3, H, W), RGB in [0, 1]."""
    original_warp: Warp
    deformed_warp: Warp


class Deformation(ABC):
    """Makes the two views."""

    component_kind: ClassVar[str] = "deformation"
    """What an option of this type takes: a component of this kind."""

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """Make the two views of a batch, on its own device.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], float32.
            generator: The only source of randomness, on the device of ``images``.
        """


class GeometricDeformation(Deformation):
    """A deformation that only moves pixels: it draws two warps and the core applies them."""

    @abstractmethod
    def warps(self, batch: int, generator: torch.Generator) -> tuple[Warp, Warp]:
        """Draw a warp to the original view and one to the deformed view.

        Args:
            batch: The number of images.
            generator: The only source of randomness; the warps live on its device.
        """

    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """See [Deformation][lmkit.api.Deformation]."""
        original, deformed = self.warps(len(images), generator)
        return Views(original(images), deformed(images), original, deformed)
