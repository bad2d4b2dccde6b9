"""Images whose points can be seen, for the tests of the readers."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.unreadable import find_unreadable
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
def left_out() -> Callable[[Dataset], list[str]]:
    """Return the images that are known not to be usable, and why, each checked not to be read."""

    def look(data: Dataset) -> list[str]:
        found = find_unreadable(data)
        for index, problem in found.items():
            assert data.annotation(index).points is None
            with pytest.raises(OSError, match=re.escape(problem)):
                data.image(index)
        keys = [data.key(index) for index in range(len(data))]
        assert len({*keys}) == len(keys)
        return [f"{keys[index]} ({problem})" for index, problem in found.items()]

    return look


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
