"""Pixels being painted, and the shapes that are painted on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmkit.data.rendering.parameters import Doubles

Floats = NDArray[np.floating[Any]]
"""Numbers a pixel: float32 throughout, which numpy's stubs cannot follow."""


def grid(values: ArrayLike) -> Floats:
    """Per-face values (..., N) as float32 (..., N, 1, 1), to combine with pixels."""
    return np.asarray(values, dtype=np.float32)[..., None, None]


class Canvas:
    """Pixels being painted: rgb (3, N, h, w) in [0, 1] with their places in image units."""

    def __init__(self, rgb: Floats, x: Floats, y: Floats, pixel: float) -> None:
        self.rgb, self.x, self.y, self.pixel = rgb, x, y, pixel

    @contextmanager
    def window(self, centre: Doubles, half: float) -> Iterator["Canvas"]:
        """A square part, `half` image units around centre (N, 2); written back on leaving."""
        size = self.x.shape[-1]
        width = min(size, int(np.ceil(2 * half * size)) + 2)
        first = np.clip(np.rint(centre * size - width / 2).astype(np.intp), 0, size - width)
        column = (first[:, 0, None] + np.arange(width))[:, None, :]
        row = (first[:, 1, None] + np.arange(width))[:, :, None]
        index = (slice(None), np.arange(len(first))[:, None, None], row, column)
        x, y = ((0.5 + part) * np.float32(self.pixel) for part in (column, row))
        part = Canvas(self.rgb[index], x.astype(np.float32), y.astype(np.float32), self.pixel)
        yield part
        self.rgb[index] = part.rgb

    def cover(self, distance: Floats, soft: float | Floats = 0.0) -> Floats:
        """Coverage in [0, 1] for a signed distance; the edge is a pixel wide, or `soft` if more."""
        width = np.maximum(np.float32(self.pixel), np.float32(soft))
        covered: Floats = np.clip(0.5 - distance / width, 0, 1)
        return covered

    def local(self, origin: Doubles, frame: Doubles) -> tuple[Floats, Floats]:
        """Pixels' (u, v) in the frame whose axes are the columns of `frame` (N, 2, 2)."""
        (a, b), (c, d) = (frame[:, 0].T, frame[:, 1].T)
        det = a * d - b * c
        dx, dy = self.x - grid(origin[:, 0]), self.y - grid(origin[:, 1])
        return (
            grid(d / det) * dx - grid(b / det) * dy,
            grid(a / det) * dy - grid(c / det) * dx,
        )

    def disc(self, origin: Doubles, frame: Doubles, soft: float | Floats = 0.0) -> Floats:
        """Coverage of the unit disc of a frame (N, 2, 2) at origin (N, 2): an ellipse."""
        u, v = self.local(origin, frame)
        radius = np.sqrt(np.abs(np.linalg.det(frame)))
        return self.cover((np.sqrt(u * u + v * v) - 1) * grid(radius), soft)

    def capsule(self, start: Doubles, end: Doubles, radius0: Doubles, radius1: Doubles) -> Floats:
        """Distance to a segment between two (N, 2) points, with a radius at each end."""
        along = end - start
        ax, ay = grid(along[:, 0]), grid(along[:, 1])
        dx, dy = self.x - grid(start[:, 0]), self.y - grid(start[:, 1])
        t = np.clip((dx * ax + dy * ay) / (ax * ax + ay * ay + 1e-12), 0, 1)
        dx, dy = dx - t * ax, dy - t * ay
        return np.sqrt(dx * dx + dy * dy) - grid(radius0) - t * grid(radius1 - radius0)

    def paint(self, alpha: Floats, colour: ArrayLike) -> None:
        """Lays a colour, (N, 3) or (3,), over the pixels with opacity alpha (N, h, w)."""
        tint = np.broadcast_to(np.asarray(colour, np.float32), (alpha.shape[0], 3)).T
        self.rgb += alpha * (tint[..., None, None] - self.rgb)

    def shade(self, alpha: Floats, factor: ArrayLike) -> None:
        """Multiplies the pixels by a factor, (N,) or one number, with opacity alpha."""
        self.rgb *= 1 + alpha * (grid(factor) - 1)
