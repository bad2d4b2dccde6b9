"""Drawings of what a run found: landmarks on faces, contact sheets, legends and headings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lmkit.drawing.points import GREY, WHITE, draw_mark

GAP = 2
"""Pixels between the cells of a sheet."""


def sheet(cells: Sequence[NDArray[np.uint8]], columns: int) -> Image.Image:
    """Lay images of one size out in rows.

    Args:
        cells: Each (H, W, 3), RGB; at least one.
        columns: How many stand in a row.
    """
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), WHITE)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        canvas.paste(Image.fromarray(cell), (column * (width + GAP), row * (height + GAP)))
    return canvas


def stack(bands: Sequence[Image.Image]) -> Image.Image:
    """Lay images of any size one below the other, on white.

    Args:
        bands: From the top; at least one.
    """
    width = max(band.width for band in bands)
    canvas = Image.new("RGB", (width, sum(band.height + GAP for band in bands) - GAP), WHITE)
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
        draw_mark(canvas, np.asarray(at), number, 0.38 * size)
    strip = Image.fromarray(canvas)
    draw = ImageDraw.Draw(strip)
    for number, (x, y) in enumerate(centres):
        place = (x + 0.65 * size, y)
        draw.text(place, words[number], fill=GREY, font=font, anchor="lm")
    return strip


def heading(text: str, width: int, size: int = 18) -> Image.Image:
    """Return a line of text on white, to stand above a sheet.

    Args:
        text: What it says; cut where it is too long.
        width: Of the line, in pixels.
        size: Height of the letters, in pixels.
    """
    line = Image.new("RGB", (width, round(1.7 * size)), WHITE)
    place = (size // 3, line.height / 2)
    ImageDraw.Draw(line).text(place, text, fill=GREY, font=_font(size), anchor="lm")
    return line


def caption(cell: NDArray[np.uint8], text: str, size: int = 14) -> NDArray[np.uint8]:
    """Write a few words into the lower left corner of an image, on a dark ground.

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
    draw.text(place, text, fill=WHITE, font=font, anchor="lm")
    return np.asarray(image)


def enlarge_for_viewing(size: int, wanted: int = 128) -> int:
    """Return how many times an image of ``size`` pixels is enlarged to be easily seen."""
    return max(1, round(wanted / size))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
