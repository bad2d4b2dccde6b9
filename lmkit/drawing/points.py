"""Points drawn on images: colours, shapes, and where they go."""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmkit.drawing.marks import Colour, cross, dot, line, paint

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
