"""A deformation that draws two warps; lmkit moves pixels and points by them."""

import torch

from lmkit.api import AffineWarp, GeometricDeformation, LmkitError


class Shear(GeometricDeformation):
    """Shears and shifts each view by amounts of its own.

    Args:
        shear: How far a view leans, at most, in x and in y; 0.5 moves the upper edge by half a
            side against the lower one.
        shift: How far a view is moved, at most, in half sides of the image.

    Raises:
        LmkitError: If the shear is negative or could fold the image, or the shift is negative.
    """

    def __init__(self, *, shear: float = 0.2, shift: float = 0.1) -> None:
        if not 0 <= shear < 1 or shift < 0:
            raise LmkitError(
                f"deformation.shear={shear} with deformation.shift={shift} is refused.",
                remedy="Give a shear from 0 to below 1 and a shift from 0; 0.2 and 0.1 are the "
                "defaults.",
            )
        self.shear = shear
        self.shift = shift

    def warps(self, batch: int, generator: torch.Generator) -> tuple[AffineWarp, AffineWarp]:
        """Draw a warp to each view, from the generator alone and on its device."""
        return self._draw(batch, generator), self._draw(batch, generator)

    def _draw(self, batch: int, generator: torch.Generator) -> AffineWarp:
        drawn = torch.rand(batch, 4, generator=generator, device=generator.device) * 2 - 1
        lean, move = drawn[:, :2] * self.shear, drawn[:, 2:] * self.shift
        one = torch.ones_like(lean[:, 0])
        rows = (one, lean[:, 0], move[:, 0], lean[:, 1], one, move[:, 1])
        return AffineWarp(torch.stack(rows, dim=1).unflatten(1, (2, 3)))
