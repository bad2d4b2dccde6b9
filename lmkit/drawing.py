"""Pictures of what a run found: landmarks on faces, contact sheets, legends and headings."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lmkit.marks import Colour, cross, dot, line, paint

GAP = 2
"""Pixels between the cells of a sheet."""
SHAPE_EVERY = 10
"""So many landmarks have the same shape: fifty colours alone cannot be told apart."""

_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (90, 90, 90)


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
    """Mark points on a picture.

    Args:
        image: (H, W, 3), RGB.
        points: (K, 2), (x, y) in pixels of ``image``, the centre of the first pixel at (0, 0);
            dots, the k-th in the k-th colour; the first ten round, the next ten square, and so on.
            Points that are NaN are left out.
        scale: Enlarge the picture this many times first.
        truth: (P, 2) points drawn as white crosses beneath, or none; NaN as above.
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
            paint(canvas, real[number], line(found[number] - real[number], 0.5), _WHITE)
        half = max(0.5, radius / 5)
        for at in real.values():
            paint(canvas, at, cross(1.7 * radius + 0.8, half + 0.8), _BLACK)
            paint(canvas, at, cross(1.7 * radius, half), _WHITE)
    for number, at in found.items():
        _mark(canvas, at, number, radius)
    return canvas


def sheet(cells: Sequence[NDArray[np.uint8]], columns: int) -> Image.Image:
    """Lay pictures of one size out in rows.

    Args:
        cells: Each (H, W, 3), RGB; at least one.
        columns: How many stand in a row.
    """
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), _WHITE)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        canvas.paste(Image.fromarray(cell), (column * (width + GAP), row * (height + GAP)))
    return canvas


def stack(bands: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of any size one below the other, on white.

    Args:
        bands: From the top; at least one.
    """
    width = max(band.width for band in bands)
    canvas = Image.new("RGB", (width, sum(band.height + GAP for band in bands) - GAP), _WHITE)
    top = 0
    for band in bands:
        canvas.paste(band, (0, top))
        top += band.height + GAP
    return canvas


def legend(
    count: int, width: int, size: int = 16, names: Sequence[str] | None = None
) -> Image.Image:
    """Return a strip that says which mark is which landmark.

    Args:
        count: Landmarks.
        width: Of the strip, in pixels.
        size: Height of the words, in pixels.
        names: What they are called; their numbers from 0 if not given.
    """
    words = [str(number) for number in range(count)] if names is None else names
    font = _font(0.85 * size)
    longest = max((font.getlength(word) for word in words), default=0)
    each, high = max(round(2.8 * size), round(longest + 1.8 * size)), round(1.5 * size)
    columns = min(max(1, width // each), max(1, count))
    canvas = np.full((max(1, -(-count // columns)) * high, width, 3), 255, np.uint8)
    centres = [
        (number % columns * each + 0.7 * size, number // columns * high + high / 2 - 0.5)
        for number in range(count)
    ]
    for number, at in enumerate(centres):
        _mark(canvas, np.asarray(at), number, 0.38 * size)
    strip = Image.fromarray(canvas)
    draw = ImageDraw.Draw(strip)
    for number, (x, y) in enumerate(centres):
        place = (x + 0.65 * size, y)
        draw.text(place, words[number], fill=_GREY, font=font, anchor="lm")
    return strip


def heading(text: str, width: int, size: int = 18) -> Image.Image:
    """Return a line of text on white, to stand above a sheet.

    Args:
        text: What it says; cut where it is too long.
        width: Of the line, in pixels.
        size: Height of the letters, in pixels.
    """
    line = Image.new("RGB", (width, round(1.7 * size)), _WHITE)
    place = (size // 3, line.height / 2)
    ImageDraw.Draw(line).text(place, text, fill=_GREY, font=_font(size), anchor="lm")
    return line


def caption(cell: NDArray[np.uint8], text: str, size: int = 14) -> NDArray[np.uint8]:
    """Write a few words into the lower left corner of a picture, on a dark ground.

    Args:
        cell: (H, W, 3), RGB.
        text: The words.
        size: Height of the letters, in pixels.

    Returns:
        (H, W, 3).
    """
    image = Image.fromarray(cell)
    draw = ImageDraw.Draw(image)
    font, margin = _font(size), size // 4
    length = draw.textlength(text, font=font)
    top = image.height - size - 2 * margin
    draw.rectangle((0, top, length + 2 * margin, image.height), fill=(20, 20, 20))
    place = (margin, top + size / 2 + margin)
    draw.text(place, text, fill=_WHITE, font=font, anchor="lm")
    return np.asarray(image)


def enlarge_for_viewing(size: int, wanted: int = 128) -> int:
    """Return how many times a picture of ``size`` pixels is enlarged to be easily seen."""
    return max(1, round(wanted / size))


def _known(points: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """Return the points that are finite, by number."""
    return {number: at for number, at in enumerate(points) if np.isfinite(at).all()}


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _colour(number: int) -> Colour:
    hue = (number * 0.618034) % 1
    lightness = (0.5, 0.68, 0.38)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _mark(canvas: NDArray[np.uint8], at: NDArray[np.float64], number: int, radius: float) -> None:
    """Draw the mark of a landmark: its own shape and colour, black around."""
    shape = number // SHAPE_EVERY
    paint(canvas, at, dot(shape, radius + 1), _BLACK)
    paint(canvas, at, dot(shape, radius), _colour(number))
