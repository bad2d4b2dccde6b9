"""What is special about the dataset; the rest is checked in test_conformance.py."""

import numpy as np
import pytest
from my_plugin.dataset import Triangles

from lmkit.api import LmkitError


def test_corners_are_where_the_triangle_ends() -> None:
    """A step from a corner to the middle is on the triangle, and a step away from it is not."""
    data = Triangles(image_size=64)
    for index in range(20):
        image, corners = data.image(index), data.annotation(index).points
        assert corners is not None
        middle = corners.mean(axis=0)
        for corner in corners:
            outwards = 3 * (corner - middle) / np.linalg.norm(corner - middle)
            x, y = np.rint(corner - outwards).astype(int)
            assert image[y, x].min() >= 120
            x, y = np.rint(corner + outwards).astype(int)
            assert image[y, x].max() < 100


def test_two_images_are_the_least() -> None:
    """One trains, one tests."""
    with pytest.raises(LmkitError, match="at least 2"):
        Triangles(image_size=64, count=1)
