"""The thin-plate spline through a square grid of control points, as matrices.

The kernel is ``r^2 log r^2``, beside an affine part (Duchon 1977; Wahba 1990). Everything that
depends on the control points alone is computed once, on the CPU in float64 (which MPS lacks), and
kept in the type and on the device it is used.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lmkit.geometry.coordinates import pixel_grid


class SplineSystem(NamedTuple):
    """What a square grid of n * n control points fixes, whatever the values at them."""

    control: Tensor
    """(n*n, 2), over [-1, 1], corners included, row by row."""
    fit: Tensor
    """(3, n*n): from values at the control points to the closest affine map, of 1, x and y."""
    solve: Tensor
    """(n*n + 3, n*n): from values to the spline's weights, of the kernels, then of 1, x and y."""


def combine(basis: Tensor, weights: Tensor) -> Tensor:
    """Return the product of (..., M, n) and (B, n, 2) as a sum, which no setting rounds."""
    return (basis.unsqueeze(-1) * weights.unsqueeze(-3)).sum(dim=-2)


def affine_basis(points: Tensor) -> Tensor:
    """Return 1, x and y of (..., 2) points, (..., 3)."""
    return torch.cat((torch.ones_like(points[..., :1]), points), dim=-1)


def spline_basis(points: Tensor, control: Tensor) -> Tensor:
    """Return the spline's basis at (..., N, 2) points, (..., N, n*n + 3)."""
    squared = (points.unsqueeze(-2) - control).square().sum(dim=-1)
    return torch.cat((squared * _log(squared), affine_basis(points)), dim=-1)


def kernel_slopes(points: Tensor, control: Tensor) -> Tensor:
    """Return the derivative of every kernel at (..., N, 2) points, (..., N, n*n, 2)."""
    difference = points.unsqueeze(-2) - control
    # d/dq r^2 log r^2 = 2 (q - c) (log r^2 + 1)
    return 2 * difference * (_log(difference.square().sum(dim=-1, keepdim=True)) + 1)


@lru_cache(maxsize=16)
def spline_system(side: int, device: torch.device, dtype: torch.dtype) -> SplineSystem:
    """Return the system of ``side`` * ``side`` control points."""
    # Kept tensors must serve autograd later, even if they are first made in inference mode.
    with torch.inference_mode(False):
        return SplineSystem(*(part.to(device, dtype) for part in _exact_system(side)))


@lru_cache(maxsize=4)
def grid_basis(
    side: int, height: int, width: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the matrix from values at the control points to those at every pixel centre.

    Returns:
        (height * width, n*n).
    """
    with torch.inference_mode(False):
        system = _exact_system(side)
        grid = pixel_grid(height, width, device="cpu", dtype=torch.float64).reshape(-1, 2)
        return (spline_basis(grid, system.control) @ system.solve).to(device, dtype)


def _exact_system(side: int) -> SplineSystem:
    # The device is named because the caller may have set another default.
    line = torch.linspace(-1, 1, side, device="cpu", dtype=torch.float64)
    control = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    count = len(control)
    basis = spline_basis(control, control)
    system = basis.new_zeros(count + 3, count + 3)
    system[:count] = basis
    system[count:, :count] = basis[:, count:].T
    solve = torch.linalg.inv(system)[:, :count]
    return SplineSystem(control, torch.linalg.pinv(affine_basis(control)), solve)


def _log(squared: Tensor) -> Tensor:
    """Return the logarithm, finite at 0: there it is multiplied with 0, as is its derivative."""
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).log()
