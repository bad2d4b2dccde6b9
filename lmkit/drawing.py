"""Pictures of what a run found: landmarks on faces, contact sheets, and the stages of routes."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GAP = 2
"""Pixels between the cells of a sheet."""


def colours(count: int) -> list[tuple[int, int, int]]:
    """Return as many colours that are easy to tell apart: one a landmark, the same everywhere.

    Hues go round the circle in steps of the golden ratio, and lightness alternates, so that
    neighbours in the list differ most.
    """
    chosen = []
    for number in range(count):
        hue = (number * 0.618034) % 1
        lightness = (0.5, 0.68, 0.38)[number % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, 1.0)
        chosen.append((round(red * 255), round(green * 255), round(blue * 255)))
    return chosen


def draw_points(
    image: NDArray[np.uint8],
    points: NDArray[np.floating],
    *,
    scale: int = 1,
    truth: NDArray[np.floating] | None = None,
) -> NDArray[np.uint8]:
    """Mark points on a picture.

    Args:
        image: (H, W, 3), RGB.
        points: (K, 2), (x, y) in pixels of ``image``, the centre of the first pixel at (0, 0);
            dots, the k-th in the k-th colour.
        scale: Enlarge the picture this many times first.
        truth: (P, 2) points drawn as white crosses beneath, or none.

    Returns:
        (scale * H, scale * W, 3).
    """
    canvas = Image.fromarray(image)
    if scale != 1:
        canvas = canvas.resize(
            (canvas.width * scale, canvas.height * scale), Image.Resampling.BICUBIC
        )
    radius = max(2.0, min(canvas.size) / 60)
    draw = ImageDraw.Draw(canvas)
    for x, y in () if truth is None else (np.asarray(truth) + 0.5) * scale - 0.5:
        for dx, dy in ((radius, radius), (radius, -radius)):
            draw.line((x - dx, y - dy, x + dx, y + dy), fill="white")
    for (x, y), colour in zip(
        (np.asarray(points) + 0.5) * scale - 0.5, colours(len(points)), strict=True
    ):
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=colour, outline="black")
    return np.asarray(canvas)


def sheet(cells: Sequence[NDArray[np.uint8]], columns: int) -> Image.Image:
    """Lay pictures of one size out in rows.

    Args:
        cells: Each (H, W, 3), RGB; at least one.
        columns: How many stand in a row.
    """
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    canvas = Image.new(
        "RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), (255, 255, 255)
    )
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        canvas.paste(Image.fromarray(cell), (column * (width + GAP), row * (height + GAP)))
    return canvas


def enlarge_for_viewing(size: int, wanted: int = 128) -> int:
    """Return how many times a picture of ``size`` pixels is enlarged to be easily seen."""
    return max(1, round(wanted / size))
