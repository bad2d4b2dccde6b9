"""Framing: images of any size become the squares that networks see, and points come back."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from lmkit.data.crops import Box, Crop, make_crop
from lmkit.geometry.coordinates import normalise, spread
from lmkit.interfaces.dataset import Annotation
from lmkit.settings.settings import Settings

Fit = Literal["crop", "pad", "stretch"]
"""How an image, or what a crop shows of it, becomes a square: its central square; the whole of it,
edges repeated beyond its borders; or the whole of it, stretched."""


_LARGEST_BOX = 16  # times the side of its image


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the pixels of an image lie in its square.

    With distances measured from the upper left corner of the first pixel, a point p of the image
    lies at ``p * scale + offset`` pixels of the square, for each axis.

    Args:
        size: Side of the square, in pixels.
        scale: For x and y, pixels of the square a pixel of the image.
        offset: For x and y, in pixels of the square.
    """

    size: int
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of(cls, width: int, height: int, size: int, fit: Fit, box: Box | None = None) -> "Framing":
        """Return the framing of an image.

        Args:
            width: Of the image, in pixels.
            height: Of the image, in pixels.
            size: Side of the square, in pixels.
            fit: How what is shown of the image becomes a square.
            box: What is shown of the image; all of it if not given.
        """
        box = box or Box(0, 0, width, height)
        if fit == "crop":
            box = _central_square(box)
        across, down = _filled(box, size, fit)
        scale = (across / box.width, down / box.height)
        left, top = (size - across) // 2, (size - down) // 2
        return cls(size, scale, (left - box.left * scale[0], top - box.top * scale[1]))

    def to_normalised(self, points: ArrayLike) -> NDArray[np.float64]:
        """Convert pixels of the image to normalised points of the square.

        Args:
            points: (..., 2), (x, y) in pixels, the centre of the first pixel at (0, 0).

        Returns:
            (..., 2), (x, y); in [-1, 1] where the square shows them, ``align_corners=False``.
        """
        square = (np.asarray(points, dtype=np.float64) + 0.5) * self.scale + self.offset
        return normalise(square, 0, self.size)

    def to_pixels(self, points: ArrayLike) -> NDArray[np.float64]:
        """Convert normalised points of the square to pixels of the image: the inverse.

        Args:
            points: (..., 2), (x, y) in [-1, 1], ``align_corners=False``.

        Returns:
            (..., 2), (x, y) in pixels, the centre of the first pixel at (0, 0).
        """
        square = spread(np.asarray(points, dtype=np.float64), 0, self.size)
        pixels: NDArray[np.float64] = (square - self.offset) / self.scale - 0.5
        return pixels

    def to_square(self, points: ArrayLike) -> NDArray[np.float64]:
        """Convert pixels of the image to pixels of the square.

        Args:
            points: (..., 2), (x, y) in pixels, the centre of the first pixel at (0, 0).

        Returns:
            (..., 2), (x, y) in pixels of the square, the centre of its first pixel at (0, 0).
        """
        return spread(self.to_normalised(points), -0.5, self.size - 0.5)


@dataclass(frozen=True, slots=True)
class Framer:
    """Turns images into the squares that the networks see, all by one rule.

    Args:
        size: Side S of the square, in pixels.
        fit: How what is shown of an image becomes a square.
        crop: What is shown of an image; all of it if not given.
    """

    size: int
    fit: Fit = "crop"
    crop: Crop | None = None

    def __call__(
        self, image: NDArray[np.uint8], annotation: Annotation | None = None
    ) -> tuple[NDArray[np.uint8], Framing]:
        """Frame an image.

        Args:
            image: (H, W, 3), RGB.
            annotation: What is known about it, which some crops are made from.

        Returns:
            The square, (S, S, 3), and how it was framed.

        Raises:
            OSError: If the image cannot be cropped by this rule.
        """
        box = None
        if self.crop is not None:
            height, width = image.shape[:2]
            box = self.crop.box(width, height, None if annotation is None else annotation.points)
        return frame(image, self.size, self.fit, box)

    def accepts(self, annotation: Annotation) -> bool:
        """Return whether an image of which this is known can be cropped by this rule."""
        return self.crop is None or self.crop.accepts(annotation.points)

    def without_annotation(self) -> "Framer":
        """Return the rule for plain images: whole where the crop is made from annotation."""
        if self.crop is None or not self.crop.from_annotation:
            return self
        return replace(self, crop=None)


def frame(
    image: NDArray[np.uint8], size: int, fit: Fit, box: Box | None = None
) -> tuple[NDArray[np.uint8], Framing]:
    """Turn an image into the square the networks see.

    Resized with PIL's triangle filter: antialiased, deterministic, and unlike bicubic it never
    overshoots.

    Args:
        image: (H, W, 3), RGB.
        size: Side S of the square, in pixels.
        fit: How what is shown of the image becomes a square.
        box: What is shown of the image; all of it if not given. Edges are repeated beyond the
            borders.

    Returns:
        The square, (S, S, 3), and how it was framed.
    """
    height, width = image.shape[:2]
    framing = Framing.of(width, height, size, fit, box)
    box = box or Box(0, 0, width, height)
    if fit == "crop":
        box = _central_square(box)
    across, down = _filled(box, size, fit)
    resized = _resize(image, box, across, down)
    if (across, down) == (size, size):
        return resized, framing
    left, top = (size - across) // 2, (size - down) // 2
    margins = ((top, size - down - top), (left, size - across - left), (0, 0))
    return np.pad(resized, margins, mode="edge"), framing


def _central_square(box: Box) -> Box:
    side = min(box.width, box.height)
    # Whole pixels, so that an image of the right size is cut out and not resampled.
    left, top = (box.width - side) // 2, (box.height - side) // 2
    return Box(box.left + left, box.top + top, side, side)


def _filled(box: Box, size: int, fit: Fit) -> tuple[int, int]:
    """Return how many pixels of the square a box fills, across and down."""
    if fit != "pad":
        return size, size
    # Whole pixels again; what rounding does to the aspect is part of the scale.
    longer = max(box.width, box.height)
    return max(1, round(box.width * size / longer)), max(1, round(box.height * size / longer))


def cut(
    image: NDArray[np.uint8], left: int, top: int, width: int, height: int
) -> NDArray[np.uint8]:
    """Cut a box out of an image; beyond its borders its edges are repeated.

    Args:
        image: (H, W, 3), RGB.
        left: The first column of the box, in pixels; negative to the left of the image.
        top: Its first row.
        width: Of the box, in pixels.
        height: Of the box, in pixels.

    Returns:
        (height, width, 3).

    Raises:
        OSError: If the box is so much larger than the image that it must be a mistake.
    """
    down, across = image.shape[:2]
    if min(left, top) >= 0 and left + width <= across and top + height <= down:
        return image[top : top + height, left : left + width]
    if max(width, height) > _LARGEST_BOX * max(down, across):
        raise OSError(f"its box of {width} x {height} pixels is far larger than the image")
    rows = np.clip(np.arange(top, top + height), 0, down - 1)
    columns = np.clip(np.arange(left, left + width), 0, across - 1)
    return image[rows[:, None], columns]


def _resize(image: NDArray[np.uint8], box: Box, width: int, height: int) -> NDArray[np.uint8]:
    """Resize what is in the box."""
    inner = None
    cuts_no_pixel = all(float(number).is_integer() for number in box)
    if cuts_no_pixel:
        image = cut(image, *map(int, box))
        if image.shape[:2] == (height, width):
            return image
    else:
        inner = (box.left, box.top, box.left + box.width, box.top + box.height)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, inner)
    return np.asarray(resized)


def build_framer(settings: Settings) -> Framer:
    """Return the rule by which ``settings.loading`` turns images into squares."""
    loading = settings.loading
    crop = None
    if loading.crop != "none":
        crop = make_crop(loading.crop, share=loading.crop_share, margin=loading.crop_margin)
    return Framer(settings.run.image_size, loading.fit, crop)
