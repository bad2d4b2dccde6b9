"""Images whose points can be seen, for the tests of the readers."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.interfaces.dataset import Dataset


@pytest.fixture(scope="session")
def draw() -> Callable[..., None]:
    """Write a dark image of a width and height, in which point n is a pixel of shade 10 n + 9.

    The points may be those of several objects.
    """

    def write(path: Path, size: tuple[int, int], *objects: Iterable[tuple[float, float]]) -> None:
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        for points in objects:
            for number, (x, y) in enumerate(points):
                pixels[int(y), int(x)] = 10 * number + 9
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whatever the name ends in, a format that keeps each pixel.
        Image.fromarray(pixels).save(path, format="png")

    return write


@pytest.fixture(scope="session")
def seen() -> Callable[[Dataset, int], list[int]]:
    """Return the numbers of an image's known points, each checked to be drawn where it is said."""

    def look(data: Dataset, index: int) -> list[int]:
        image, points = data.image(index), data.annotation(index).points
        assert points is not None
        known = np.flatnonzero(np.isfinite(points).all(axis=1)).tolist()
        for number in known:
            x, y = points[number]
            assert (image[int(y), int(x)] == 10 * number + 9).all(), f"point {number} at {x}, {y}"
        return known

    return look
