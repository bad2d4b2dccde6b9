"""A dataset that needs no file: each image is a function of its number."""

import math

import numpy as np
from numpy.typing import NDArray

from lmkit.api import Annotation, Dataset, LmkitError


class Triangles(Dataset):
    """Triangles of any colour on noise, with their corners as annotated points.

    Args:
        image_size: Side of the images, in pixels.
        count: The number of images.
        seed: Another seed gives other triangles.

    Raises:
        LmkitError: If there are fewer than two images.
    """

    argument = None
    in_memory = True
    point_names = ("top", "right", "left")
    normalising_pair = (1, 2)

    def __init__(self, *, image_size: int, count: int = 400, seed: int = 0) -> None:
        if count < 2:
            raise LmkitError(
                f"data.count={count} leaves nothing to train or nothing to test on.",
                remedy="Give it a number of at least 2; 400 is the default.",
            )
        self.size = image_size
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        """Return a name that stays the same."""
        return f"triangle-{index:06d}"

    def annotation(self, index: int) -> Annotation:
        """Return the corners, (3, 2), (x, y) in pixels."""
        return Annotation(points=self._draw(index)[0])

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return the image, (H, W, 3)."""
        corners, random = self._draw(index)
        y, x = np.mgrid[: self.size, : self.size]
        inside = np.ones((self.size, self.size), dtype=bool)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            # Clockwise as seen on the image: what is inside lies to the right of every side.
            inside &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
        drawn = random.integers(0, 100, (self.size, self.size, 3))
        drawn[inside] = random.integers(120, 256, 3)
        return drawn.astype(np.uint8)

    def _draw(self, index: int) -> tuple[NDArray[np.float32], np.random.Generator]:
        """Return the corners of a triangle, and the generator for what else is drawn of it."""
        random = np.random.default_rng([self.seed, index])
        angles = np.arange(3) * (2 * math.pi / 3) + random.uniform(-0.3, 0.3, 3) - math.pi / 2
        radii = random.uniform(0.25, 0.45, 3) * self.size
        corners = np.stack((np.cos(angles), np.sin(angles)), axis=1) * radii[:, None]
        return (corners + (self.size - 1) / 2).astype(np.float32), random
