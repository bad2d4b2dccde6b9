"""Random thin-plate splines: the deformation that the paper names as what it lacks."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lmkit.api import AffineWarp, GeometricDeformation, ThinPlateWarp, Warp
from lmkit_interintra.checks import require, require_spreads

_SIDE = 10
"""The control points are a 10 x 10 grid."""

_STEEPEST = 0.8
"""How far the bend may press a view together: to a fifth of a distance, in any direction."""

_TINY = 1e-12


class ThinPlateSpline(GeometricDeformation):
    """Bends each view by a random thin-plate spline, and rotates, scales and shifts it.

    The distributions of Jakab et al. 2018: the weights of the spline's kernels ``r^2 log r^2``,
    on a 10 x 10 grid of control points over [-1, 1], are drawn from normal distributions, and so
    are its rotation, magnification and shift (these are clipped at three standard deviations). By
    default the original view is bent and shifted a little; the deformed one is bent twice as much,
    rotated and scaled too. A bend that would fold the image is weakened until it does not, so
    that every point of a view comes from one point of the image: with the default noise, to four
    fifths in a third of the deformed views.

    Args:
        noise: Standard deviations of the weights of all kernels, of the original and of the
            deformed view.
        extra_noise: Standard deviations of what is added to a random half of the weights, of the
            original and of the deformed view.
        rotation: Standard deviations of the rotation in degrees, of the original and of the
            deformed view.
        scale: Standard deviations of the magnification, whose mean is 1, of the original and of
            the deformed view; at most 0.3.
        shift: Standard deviations of the shift in x and in y, in half sides of the image, of
            the original and of the deformed view.

    Raises:
        LmkitError: If a standard deviation is negative, or that of the scale above 0.3.
    """

    def __init__(
        self,
        *,
        noise: tuple[float, float] = (0.001, 0.001),
        extra_noise: tuple[float, float] = (0.005, 0.01),
        rotation: tuple[float, float] = (0.0, 5.0),
        scale: tuple[float, float] = (0.0, 0.1),
        shift: tuple[float, float] = (0.1, 0.1),
    ) -> None:
        require_spreads(
            "deformation",
            noise=noise,
            extra_noise=extra_noise,
            rotation=rotation,
            scale=scale,
            shift=shift,
        )
        require(
            max(scale) <= 0.3,
            "deformation.scale",
            scale,
            why="at three standard deviations a view could shrink to nothing",
            remedy="Give deformation.scale numbers from 0 to 0.3; 0.1 is the usual one.",
        )
        self.noise = noise
        self.extra_noise = extra_noise
        self.rotation = rotation
        self.scale = scale
        self.shift = shift

    def warps(self, batch: int, generator: torch.Generator) -> tuple[Warp, Warp]:
        """See [GeometricDeformation][lmkit.api.GeometricDeformation]."""
        return self._draw(batch, 0, generator), self._draw(batch, 1, generator)

    def _draw(self, batch: int, view: int, generator: torch.Generator) -> Warp:
        device = generator.device
        affine = torch.randn(batch, 4, generator=generator, device=device).clamp(-3, 3)
        warp = AffineWarp.from_similarity(
            angle=affine[:, 0] * math.radians(self.rotation[view]),
            scale=1 + affine[:, 1] * self.scale[view],
            shift=affine[:, 2:] * self.shift[view],
        )
        normal = torch.randn(2, batch, _SIDE**2, 2, generator=generator, device=device)
        chosen = torch.rand(batch, _SIDE**2, 2, generator=generator, device=device) > 0.5
        if not self.noise[view] and not self.extra_noise[view]:
            # The same map without a spline, whose inverse is found step by step.
            return warp
        weights = normal[0] * self.noise[view] + chosen * normal[1] * self.extra_noise[view]
        basis = _basis(device)
        # Bent in the image before it is turned and scaled: there the slope can be bounded.
        bend = _matmul(basis.kernels, weights) * _strength(weights, basis)
        return ThinPlateWarp(warp.sample_points(basis.control + bend))


class _Basis(NamedTuple):
    """What depends on the control points alone."""

    control: Tensor
    """(100, 2), over [-1, 1], row by row."""
    kernels: Tensor
    """(100, 100), the kernels at the control points."""
    slopes: Tensor
    """(2, 576, 100), the kernels' derivatives by x and by y at a grid over the image."""


def _strength(weights: Tensor, basis: _Basis) -> Tensor:
    """Return how much of the bend can be had without a fold, (B, 1, 1) in (0, 1].

    ``q + t b(q)`` maps no two points of a convex region to one as long as the symmetric part of
    its Jacobian is positive definite. Its smallest eigenvalue is 1 + t times that of b's.
    """
    by_x, by_y = _matmul(basis.slopes[0], weights), _matmul(basis.slopes[1], weights)
    half_trace = (by_x[..., 0] + by_y[..., 1]) / 2
    half_gap = (by_x[..., 0] - by_y[..., 1]) / 2
    smallest = half_trace - torch.hypot(half_gap, (by_x[..., 1] + by_y[..., 0]) / 2)
    steepest = -smallest.amin(dim=1)
    return (_STEEPEST / steepest.clamp_min(_STEEPEST))[:, None, None]


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """Multiply in float32 also under autocast, where points would move by pixels."""
    with torch.autocast(right.device.type, enabled=False):
        return left @ right


@lru_cache(maxsize=4)
def _basis(device: torch.device) -> _Basis:
    control = _grid(_SIDE)
    difference = _grid(24)[:, None] - control
    log = difference.square().sum(dim=-1, keepdim=True).clamp_min(_TINY).log()
    # d/dq r^2 log r^2 = 2 (q - c) (log r^2 + 1)
    slopes = 2 * difference * (log + 1)
    squared = (control[:, None] - control).square().sum(dim=-1)
    kernels = squared * squared.clamp_min(_TINY).log()
    return _Basis(control.to(device), kernels.to(device), slopes.permute(2, 0, 1).to(device))


def _grid(side: int) -> Tensor:
    line = torch.linspace(-1, 1, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
