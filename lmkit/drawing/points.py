"""Points drawn on images: colours, marks, and where they go.

Marks (dots of several shapes, crosses and lines) are drawn by hand, a patch each: their places keep
fractions of a pixel and their edges are smooth, which PIL's are not.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]
_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """What to draw around a place.

    Args:
        distance: From (dx, dy), pixels from the place, to how many pixels that is outside of the
            mark's edge; negative within.
        reach: No part of the mark is further from the place, along x or y, in pixels.
    """

    distance: Callable[[_Array, _Array], _Array]
    reach: float


def paint(canvas: NDArray[np.uint8], at: _Array, mark: Mark, colour: Colour) -> None:
    """Draw a mark, in place; pixels that it covers in part are mixed.

    Args:
        canvas: (H, W, 3), RGB.
        at: (2,), (x, y) in pixels, the centre of the first pixel at (0, 0).
        mark: What to draw.
        colour: Its colour.
    """
    height, width = canvas.shape[:2]
    reach = mark.reach + 1
    left, top = (max(0, int(np.floor(value - reach))) for value in at)
    right = min(width, int(np.ceil(at[0] + reach)) + 1)
    bottom = min(height, int(np.ceil(at[1] + reach)) + 1)
    if left >= right or top >= bottom:
        return
    dx = np.arange(left, right) - at[0]
    dy = np.arange(top, bottom)[:, None] - at[1]
    share = np.clip(0.5 - mark.distance(dx, dy), 0, 1)[..., None]
    patch = canvas[top:bottom, left:right]
    patch[...] = np.rint(patch * (1 - share) + np.asarray(colour) * share).astype(np.uint8)


def dot(shape: int, radius: float) -> Mark:
    """Return a filled dot.

    Args:
        shape: 0 for a disc, then square, diamond and two triangles, over and over; all look about
            as large.
        radius: Of the disc, in pixels.
    """
    norm = _SHAPES[shape % len(_SHAPES)]
    return Mark(lambda dx, dy: norm(dx, dy) - radius, 1.6 * radius)


def cross(radius: float, width: float) -> Mark:
    """Return a cross of two diagonal bars.

    Args:
        radius: Half the length of a bar, in pixels.
        width: Half the width of a bar, in pixels.
    """

    def distance(dx: _Array, dy: _Array) -> _Array:
        along, across = np.abs(dx + dy) / np.sqrt(2), np.abs(dx - dy) / np.sqrt(2)
        one = np.maximum(along - radius, across - width)
        other = np.maximum(across - radius, along - width)
        nearer: _Array = np.minimum(one, other)
        return nearer

    return Mark(distance, radius + width)


def line(to: _Array, width: float) -> Mark:
    """Return a line with round ends.

    Args:
        to: (2,), (x, y) of its other end, in pixels from where it begins.
        width: Half its width, in pixels.
    """
    length = max(float(to @ to), 1e-12)

    def distance(dx: _Array, dy: _Array) -> _Array:
        share = np.clip((dx * to[0] + dy * to[1]) / length, 0, 1)
        away: _Array = np.hypot(dx - share * to[0], dy - share * to[1]) - width
        return away

    return Mark(distance, float(np.abs(to).max()) + width)


def ellipse(covariance: _Array, width: float) -> Mark:
    """Return the outline of two standard deviations.

    Args:
        covariance: (2, 2), of x and y in square pixels.
        width: Half the width of the line, in pixels.
    """
    values, axes = np.linalg.eigh(covariance)
    radii = 2 * np.sqrt(np.maximum(values, 1e-3))

    def distance(dx: _Array, dy: _Array) -> _Array:
        along = [(dx * axes[0, n] + dy * axes[1, n]) / radii[n] for n in (0, 1)]
        level = np.hypot(*along)
        # How fast that grows with each pixel, which makes of it a distance near the line.
        slope = np.hypot(along[0] / radii[0], along[1] / radii[1]) / np.maximum(level, 1e-9)
        away: _Array = np.abs(level - 1) / np.maximum(slope, 1e-9) - width
        return away

    return Mark(distance, float(2 * np.sqrt(np.abs(np.diag(covariance)).max() + 1e-3)) + width + 1)


def _disc(dx: _Array, dy: _Array) -> _Array:
    away: _Array = np.hypot(dx, dy)
    return away


def _square(dx: _Array, dy: _Array) -> _Array:
    return 1.1 * np.maximum(np.abs(dx), np.abs(dy))


def _diamond(dx: _Array, dy: _Array) -> _Array:
    return 0.78 * (np.abs(dx) + np.abs(dy))


def _triangle(dx: _Array, dy: _Array) -> _Array:
    away: _Array = 1.3 * np.maximum(dy, 0.87 * np.abs(dx) - 0.5 * dy)
    return away


def _upturned(dx: _Array, dy: _Array) -> _Array:
    return _triangle(dx, -dy)


_SHAPES = (_disc, _square, _diamond, _triangle, _upturned)


SHAPE_EVERY = 10
"""So many landmarks have the same shape: fifty colours alone cannot be told apart."""


WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (90, 90, 90)


def colours(count: int) -> list[Colour]:
    """Return as many colours that are easy to tell apart: one a landmark, the same everywhere.

    Hues go round the circle in steps of the golden ratio, and lightness alternates, so that
    neighbours in the list differ most.
    """
    return [_colour(number) for number in range(count)]


def draw_points(
    image: NDArray[np.uint8],
    points: NDArray[np.floating],
    *,
    scale: int = 1,
    truth: NDArray[np.floating] | None = None,
    links: bool = False,
    radius: float | None = None,
    covariance: NDArray[np.floating] | None = None,
) -> NDArray[np.uint8]:
    """Mark points on an image.

    Args:
        image: (H, W, 3), RGB.
        points: (K, 2), (x, y) in pixels of ``image``, the centre of the first pixel at (0, 0);
            dots, the k-th in the k-th colour; the first ten round, the next ten square, and so on.
            Points that are NaN are left out.
        scale: Enlarge the image this many times first.
        truth: (P, 2) points drawn as white crosses beneath, or None; NaN as above.
        links: Whether to join each point to the truth of its number; there are K of both then.
        radius: Of the dots, in pixels of the result; a sixtieth of its side if not given.
        covariance: (K, 2, 2), of the points in square pixels of ``image``, drawn as ellipses of two
            standard deviations beneath; or None.

    Returns:
        (scale * H, scale * W, 3).
    """
    canvas = image.copy()
    if scale != 1:
        size = (image.shape[1] * scale, image.shape[0] * scale)
        resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
        canvas = np.array(resized)
    radius = max(2.0, min(canvas.shape[:2]) / 60) if radius is None else radius
    found = _known((np.asarray(points, np.float64) + 0.5) * scale - 0.5)
    if truth is not None:
        real = _known((np.asarray(truth, np.float64) + 0.5) * scale - 0.5)
        for number in (found.keys() & real.keys()) if links else ():
            paint(canvas, real[number], line(found[number] - real[number], 0.5), WHITE)
        half = max(0.5, radius / 5)
        for at in real.values():
            paint(canvas, at, cross(1.7 * radius + 0.8, half + 0.8), BLACK)
            paint(canvas, at, cross(1.7 * radius, half), WHITE)
    for number, at in found.items() if covariance is not None else ():
        own = np.asarray(covariance, np.float64)[number] * scale**2
        if np.isfinite(own).all():
            half = max(0.5, radius / 6)
            paint(canvas, at, ellipse(own, half + 0.8), BLACK)
            paint(canvas, at, ellipse(own, half), _colour(number))
    for number, at in found.items():
        draw_mark(canvas, at, number, radius)
    return canvas


def _known(points: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """Return the points that are finite, by number."""
    return {number: at for number, at in enumerate(points) if np.isfinite(at).all()}


def _colour(number: int) -> Colour:
    hue = (number * 0.618034) % 1
    lightness = (0.5, 0.68, 0.38)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_mark(
    canvas: NDArray[np.uint8], at: NDArray[np.float64], number: int, radius: float
) -> None:
    """Draw the mark of a landmark, in place: its own shape and colour, black around.

    Args:
        canvas: (H, W, 3), RGB.
        at: (2,), (x, y) in pixels, the centre of the first pixel at (0, 0).
        number: The landmark's, from 0.
        radius: In pixels.
    """
    shape = number // SHAPE_EVERY
    paint(canvas, at, dot(shape, radius + 1), BLACK)
    paint(canvas, at, dot(shape, radius), _colour(number))
