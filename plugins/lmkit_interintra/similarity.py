"""The paper's deformation: random rotation, scale and translation."""

import torch

from lmkit.api import AffineWarp, GeometricDeformation
from lmkit_interintra.checks import require, require_spreads


class Similarity(GeometricDeformation):
    """Rotates, scales and shifts each view (Li et al. 2020).

    The paper does not state its ranges. Its authors ran the rotations that are the defaults here,
    stronger for the deformed view, with scale and shift as a jitter, whose sizes are lmkit's own.

    Args:
        rotation: Standard deviations of the rotation in degrees, of the original and of the
            deformed view; drawn from normal distributions.
        max_rotation: Rotations are clipped at this many degrees in either direction.
        scale: Each view is magnified by a factor drawn uniformly from 1 - scale to 1 + scale.
        shift: Each view is moved in x and y by up to this share of its side, drawn uniformly.

    Raises:
        LmkitError: If a range is negative or a scale could reach 0.
    """

    def __init__(
        self,
        *,
        rotation: tuple[float, float] = (15.0, 30.0),
        max_rotation: float = 40.0,
        scale: float = 0.1,
        shift: float = 0.05,
    ) -> None:
        require_spreads(
            "deformation", rotation=rotation, max_rotation=max_rotation, scale=scale, shift=shift
        )
        require(
            scale < 1,
            "deformation.scale",
            scale,
            why="a view could shrink to nothing",
            remedy="Give deformation.scale a number from 0 to below 1; 0.1 is the default.",
        )
        self.rotation = rotation
        self.max_rotation = max_rotation
        self.scale = scale
        self.shift = shift

    def warps(self, batch: int, generator: torch.Generator) -> tuple[AffineWarp, AffineWarp]:
        """See [GeometricDeformation][lmkit.api.GeometricDeformation]."""
        original, deformed = (self._draw(batch, sd, generator) for sd in self.rotation)
        return original, deformed

    def _draw(self, batch: int, rotation: float, generator: torch.Generator) -> AffineWarp:
        device = generator.device
        turns = torch.randn(batch, generator=generator, device=device) * rotation
        jitter = torch.rand(batch, 3, generator=generator, device=device) * 2 - 1
        return AffineWarp.from_similarity(
            angle=turns.clamp(-self.max_rotation, self.max_rotation).deg2rad(),
            scale=1 + jitter[:, 0] * self.scale,
            # An image's side is 2 in normalised coordinates.
            shift=jitter[:, 1:] * (2 * self.shift),
        )
