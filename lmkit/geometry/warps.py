"""Warps: batched deformations that move images and points by exactly the same map.

A warp is defined by where it *samples*: the pixel at q of the warped image shows what the source
image has at ``sample_points(q)``. A point p of the source is therefore found in the warped
image at the inverse of that map, ``map_points(p)``.

Small products are written as sums of products throughout: autocast computes matrix products in
half precision and CUDA may round them to TF32, which would move points by pixels; sums are exact.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lmkit.geometry.coordinates import at_least_float32, pixel_grid
from lmkit.geometry.thin_plate import (
    affine_basis,
    combine,
    grid_basis,
    kernel_slopes,
    spline_basis,
    spline_system,
)

_NEWTON_STEPS = 8


class Warp(ABC):
    """One deformation for each image of a batch."""

    @abstractmethod
    def sample_points(self, points: Tensor) -> Tensor:
        """Return where in the source the warped image's ``points`` come from.

        Args:
            points: (B, N, 2), (x, y) in [-1, 1], in the warped image.

        Returns:
            (B, N, 2), in the source image.
        """

    @abstractmethod
    def map_points(self, points: Tensor) -> Tensor:
        """Return where the source's ``points`` are found in the warped image.

        Args:
            points: (B, N, 2), (x, y) in [-1, 1], in the source image.

        Returns:
            (B, N, 2), in the warped image; differentiable with respect to ``points``.
        """

    def sample_grid(self, height: int, width: int) -> Tensor:
        """Return ``sample_points`` of every pixel centre, (B, height, width, 2)."""
        grid = pixel_grid(height, width, device=self.device, dtype=self.dtype).reshape(1, -1, 2)
        points = self.sample_points(grid.expand(self.batch, -1, -1))
        return points.reshape(self.batch, height, width, 2)

    def __call__(self, images: Tensor) -> Tensor:
        """Warp a batch of images; beyond the edge, the edge is repeated.

        Args:
            images: (B, C, H, W), floating point.

        Returns:
            (B, C, H, W), of the type of ``images``; sampled in float32 or wider.
        """
        height, width = images.shape[-2:]
        grid = self.sample_grid(height, width)
        # Border padding, written as a clamp to the outermost pixel centres, which MPS can do too;
        # axis by axis, since a tensor of both limits would have to be copied to the device.
        x, y = grid.unbind(dim=-1)
        x, y = x.clamp(1 / width - 1, 1 - 1 / width), y.clamp(1 / height - 1, 1 - 1 / height)
        dtype = torch.promote_types(images.dtype, grid.dtype)
        grid = torch.stack((x, y), dim=-1).to(dtype)
        sampled = functional.grid_sample(images.to(dtype), grid, align_corners=False)
        return sampled.to(images.dtype)

    def __getitem__(self, rows: Tensor | slice) -> "Warp":
        """Return the warp of some of the images.

        Args:
            rows: Their places in the batch: a slice, or (N,) whole numbers.
        """
        return _SomeRows(self, rows)

    @property
    @abstractmethod
    def batch(self) -> int:
        """The number of images B."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the warp computes."""

    @property
    def dtype(self) -> torch.dtype:
        """What the warp computes in: float32, unless it was made of float64."""
        return torch.float32


class _SomeRows(Warp):
    """Some rows of any warp, by way of all of them.

    Args:
        warp: The warp.
        rows: Places in its batch; none may come twice unless points there are alike.
    """

    def __init__(self, warp: Warp, rows: Tensor | slice) -> None:
        self._warp = warp
        self._rows = torch.arange(warp.batch, device=warp.device)[rows]

    def sample_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        return self._of_some(self._warp.sample_points, points)

    def map_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        return self._of_some(self._warp.map_points, points)

    def _of_some(self, function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
        everywhere = points.new_zeros((self._warp.batch, *points.shape[1:]))
        return function(everywhere.index_copy(0, self._rows, points))[self._rows]

    @property
    def batch(self) -> int:
        """The number of images B."""
        return len(self._rows)

    @property
    def device(self) -> torch.device:
        """Where the warp computes."""
        return self._warp.device

    @property
    def dtype(self) -> torch.dtype:
        """What the warp computes in."""
        return self._warp.dtype


class AffineWarp(Warp):
    """Scale, rotation, translation and shear.

    Args:
        matrix: (B, 2, 3), maps points (x, y, 1) of the *source* to the warped image; invertible.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix = at_least_float32(matrix)
        linear = matrix[:, :, :2]
        a, b, c, d = linear[:, 0, 0], linear[:, 0, 1], linear[:, 1, 0], linear[:, 1, 1]
        # The inverse of a 2x2 matrix in closed form: no factorisation, no float64, no sync.
        inverse = torch.stack((d, -b, -c, a), dim=1).unflatten(1, (2, 2))
        self._inverse = inverse / (a * d - b * c)[:, None, None]

    @classmethod
    def from_similarity(cls, angle: Tensor, scale: Tensor, shift: Tensor) -> "AffineWarp":
        """Make the warp that rotates and scales about the centre, then shifts.

        Args:
            angle: (B,), radians; positive turns the image clockwise (y points down). It turns
                [-1, 1] coordinates, which is a rotation of pixels where the image is square.
            scale: (B,), above 1 magnifies.
            shift: (B, 2), in [-1, 1] coordinates.
        """
        cos, sin = scale * angle.cos(), scale * angle.sin()
        rows = torch.stack((cos, -sin, shift[:, 0], sin, cos, shift[:, 1]), dim=1)
        return cls(rows.unflatten(1, (2, 3)))

    def sample_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        return _apply(self._inverse, points - self.matrix[:, None, :, 2])

    def map_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        return _apply(self.matrix[:, :, :2], points) + self.matrix[:, None, :, 2]

    def __getitem__(self, rows: Tensor | slice) -> "AffineWarp":
        """See [Warp][lmkit.api.Warp]."""
        return AffineWarp(self.matrix[rows])

    @property
    def batch(self) -> int:
        """The number of images B."""
        return len(self.matrix)

    @property
    def device(self) -> torch.device:
        """Where the warp computes."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """What the warp computes in."""
        return self.matrix.dtype


class ThinPlateWarp(Warp):
    """A thin-plate spline through a square grid of control points (Duchon 1977; Wahba 1990).

    The spline maps the control points of the warped image to ``targets`` in the source, with the
    kernel ``r^2 log r^2`` and an affine part. Its inverse has no closed form and is found by
    Newton's method, to the precision of the targets' type; it exists where the warp does not fold.

    Args:
        targets: (B, n * n, 2), where in the source each control point samples; the control points
            are an n x n grid over [-1, 1], corners included, row by row.

    Raises:
        ValueError: If the control points are not a square grid.
    """

    def __init__(self, targets: Tensor) -> None:
        side = round(targets.shape[1] ** 0.5)
        if side * side != targets.shape[1] or side < 2:
            raise ValueError(f"{targets.shape[1]} control points are not a square grid")
        self._side = side
        self._targets = targets = at_least_float32(targets)
        self._system = spline_system(side, targets.device, targets.dtype)
        # The closest affine map is taken out first: the spline through what is left is the same
        # map, and its weights, which cancel one another, are as small as they can be.
        affine = combine(self._system.fit, targets)
        self._affine = AffineWarp(torch.cat((affine[:, 1:], affine[:, :1]), dim=1).transpose(1, 2))
        self._remainder = targets - combine(affine_basis(self._system.control), affine)
        self._weights = combine(self._system.solve, self._remainder)

    def sample_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        local = combine(spline_basis(points, self._system.control), self._weights)
        return self._affine.map_points(points) + local

    def sample_grid(self, height: int, width: int) -> Tensor:
        """See [Warp][lmkit.api.Warp]; one matrix product with a basis that is kept."""
        grid = pixel_grid(height, width, device=self.device, dtype=self.dtype).reshape(1, -1, 2)
        basis = grid_basis(self._side, height, width, self.device, self.dtype)
        # The one product too large for a sum; what TF32 may round is the small remainder alone.
        # The batch lies in the columns: one product is many times faster than one an image.
        columns = self._remainder.transpose(0, 1).flatten(1)
        with torch.autocast(self.device.type, enabled=False):
            local: Tensor = (basis @ columns).reshape(-1, self.batch, 2).transpose(0, 1)
        return (self._affine.map_points(grid) + local).reshape(self.batch, height, width, 2)

    def map_points(self, points: Tensor) -> Tensor:
        """See [Warp][lmkit.api.Warp]."""
        with torch.no_grad():
            guess = self._affine.sample_points(points)
            for _ in range(_NEWTON_STEPS):
                residual = self.sample_points(guess) - points
                guess = guess - _solve(self._jacobian(guess), residual)
            jacobian = self._jacobian(guess)
        # One more step that gradients pass through: the derivative of the inverse function.
        return guess - _solve(jacobian, self.sample_points(guess) - points)

    def __getitem__(self, rows: Tensor | slice) -> "ThinPlateWarp":
        """See [Warp][lmkit.api.Warp]."""
        return ThinPlateWarp(self._targets[rows])

    @property
    def batch(self) -> int:
        """The number of images B."""
        return len(self._remainder)

    @property
    def device(self) -> torch.device:
        """Where the warp computes."""
        return self._remainder.device

    @property
    def dtype(self) -> torch.dtype:
        """What the warp computes in."""
        return self._remainder.dtype

    def _jacobian(self, points: Tensor) -> Tensor:
        """Return d sample_points_i / d points_j, (B, N, 2, 2)."""
        slopes = kernel_slopes(points, self._system.control)
        kernels, linear = self._weights[:, None, :-3, :, None], self._weights[:, -2:]
        linear = linear.transpose(1, 2) + self._affine.matrix[:, :, :2]
        return (kernels * slopes.unsqueeze(-2)).sum(dim=2) + linear[:, None]


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Multiply (B, 2, 2) matrices with (B, N, 2) points."""
    x, y = points[..., 0:1], points[..., 1:2]
    return x * matrix[:, None, :, 0] + y * matrix[:, None, :, 1]


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return the (B, N, 2) solutions of 2x2 systems, in closed form."""
    a, b, c, d = (matrix[..., i, j] for i in (0, 1) for j in (0, 1))
    x, y = vector.unbind(dim=-1)
    return torch.stack((d * x - b * y, a * y - c * x), dim=-1) / (a * d - b * c).unsqueeze(-1)
