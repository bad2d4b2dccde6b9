"""Crops by policy: the part of an image that the networks are to see, before it becomes a square.

A crop made from annotated points leaks the answer: the points lie in the middle of it, at a size
that they decide. Such a policy says so (``from_annotation``), and whoever uses it passes that on.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

CropName = Literal["none", "centre", "annotated-box", "sanchez2019", "jakab2018", "dve2019"]
"""The policies; ``none`` is the whole image."""

LEAK = (
    "it is made from annotated points and so leaks the answer: compare with the mean shape's "
    "error, and never with figures of another crop"
)
"""What is to be said wherever a crop from annotation is used, after the crop's name."""

_FURTHEST = 8  # times the image's longer side; a box beyond that comes from wrong points


class Box(NamedTuple):
    """A rectangle in pixels of an image, measured from the upper left corner of its first pixel.

    Where it reaches beyond the image, edges are repeated; then its numbers are whole.
    """

    left: float
    top: float
    width: float
    height: float


class Crop(ABC):
    """A rule that says which part of an image is shown."""

    name: ClassVar[CropName]
    """What ``loading.crop`` calls it."""
    from_annotation: ClassVar[bool] = False
    """Whether it is made from annotated points."""

    @abstractmethod
    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """Return the part of an image that is shown.

        Args:
            width: Of the image, in pixels.
            height: Of the image, in pixels.
            points: (P, 2), the annotated points in pixels, the centre of the first pixel at (0, 0);
                NaN where not known; or None.

        Raises:
            OSError: If this image cannot be cropped so. It then counts as unreadable.
        """

    def accepts(self, points: NDArray[Any] | None) -> bool:
        """Return whether an image with these annotated points can be cropped."""
        return not self.from_annotation or _extent(points) is not None

    def __str__(self) -> str:
        """Return its name, and its options if it has any."""
        return self.name


@dataclass(frozen=True, slots=True)
class Centre(Crop):
    """The central window: a square of whole pixels.

    Args:
        share: Its side, as a share in (0, 1] of the image's shorter side.
    """

    name: ClassVar[CropName] = "centre"
    share: float

    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """See [Crop][lmkit.data.crops.Crop]."""
        side = max(1, round(self.share * min(width, height)))
        return Box((width - side) // 2, (height - side) // 2, side, side)

    def __str__(self) -> str:
        return f"{self.name} (share {self.share:g})"


@dataclass(frozen=True, slots=True)
class AnnotatedBox(Crop):
    """The bounding box of the annotated points that are known, made square and enlarged.

    The square has the box's centre, to the nearest whole pixel.

    Args:
        margin: What is added on each side, as a share of the box's longer side.
    """

    name: ClassVar[CropName] = "annotated-box"
    from_annotation: ClassVar[bool] = True
    margin: float

    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """See [Crop][lmkit.data.crops.Crop]."""
        low, high = _need_extent(points)
        side = max(1, round(float((high - low).max()) * (1 + 2 * self.margin)))
        left, top = (round(float(centre)) for centre in (low + high + 1 - side) / 2)
        apart = left >= width or top >= height or left + side <= 0 or top + side <= 0
        if apart or side > _FURTHEST * max(width, height):
            raise OSError("its annotated points lie far outside of it")
        return Box(left, top, side, side)

    def __str__(self) -> str:
        return f"{self.name} (margin {self.margin:g})"


@dataclass(frozen=True, slots=True)
class Sanchez2019(Crop):
    """The crop of Sanchez and Tzimiropoulos 2019, made from the annotated points.

    "Object landmark discovery through unsupervised adaptation", NeurIPS 2019; they use it on
    CelebA, MAFL and AFLW. As in the function ``crop`` of the authors' repository
    (ESanchezLozano/SAIC-Unsupervised-landmark-detection-NeurIPS2019, ``utils.py``): with d the mean
    of the points' extents in x and y, the box reaches from their rounded bounds outwards by 8
    pixels where d is below 20, and else by 70 % of d, rounded down. It ends at the first and before
    the last pixel of the image, and is stretched to the square.

    Not settled by what is published: 70 is the default of their training (``--tight``), while their
    extraction of landmarks has the default 16, and which of the two the reported figures come from
    is not said; 70 is taken. Their training also rotates the image before the crop and moves the
    70 with a standard deviation of 4; here the deformation does such things, after the crop.
    """

    name: ClassVar[CropName] = "sanchez2019"
    from_annotation: ClassVar[bool] = True

    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """See [Crop][lmkit.data.crops.Crop]."""
        low, high = _need_extent(points)
        extent = float((high - low).mean())
        margin = 8 if extent < 20 else int(70 * extent / 100)
        left, top = (max(round(float(bound)) - margin, 0) for bound in low)
        right = min(round(float(high[0])) + margin, width - 1)
        bottom = min(round(float(high[1])) + margin, height - 1)
        if right <= left or bottom <= top:
            raise OSError("its annotated points lie outside of it")
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Jakab2018(Crop):
    """The crop of Jakab et al. 2018 on CelebA and MAFL: the central 80 % of width and of height.

    "Unsupervised learning of object landmarks through conditional image generation", NeurIPS 2018.
    As in the authors' repository (tomasjakab/imm, ``imm/datasets/celeba_dataset.py``): the aligned
    image of 178x218 is stretched to 160x160, and 16 pixels are cut from each side. No annotation
    is used. On AFLW they stretch the whole image (``aflw_dataset.py``): that is ``none``.

    What differs: they resample without antialiasing and align corner pixels, which moves points of
    CelebA by up to 0.15 pixels of the original.
    """

    name: ClassVar[CropName] = "jakab2018"

    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """See [Crop][lmkit.data.crops.Crop]."""
        return Box(width / 10, height / 10, width * 8 / 10, height * 8 / 10)


@dataclass(frozen=True, slots=True)
class Dve2019(Crop):
    """The crop of Thewlis et al. 2019 on CelebA and MAFL: one window for all aligned images.

    "Unsupervised learning of landmarks by descriptor vector exchange", ICCV 2019. As in the
    authors' repository (jamt9000/DVE, ``data_loader/data_loaders.py`` and ``configs``), for their
    hourglass: of the aligned image of 178x218 the square of 178 pixels that begins 30 pixels from
    the top is resized to 136x136, and 20 pixels are cut from each side, which leaves 96x96. No
    annotation is used. Their small network has 100, 15 and 70 in place of 136, 20 and 96. In
    training they warp before they cut, so that what a warp moves in are pixels of the image; here
    the deformation sees the square alone.

    Images that are CelebA's aligned ones at another size are cropped in proportion; others are
    refused.

    Not offered: AFLW, where they stretch the whole image to 136x136 and cut 20 from each side,
    and 300-W, where they start from face boxes that come with the data set.
    """

    name: ClassVar[CropName] = "dve2019"

    def box(self, width: int, height: int, points: NDArray[Any] | None) -> Box:
        """See [Crop][lmkit.data.crops.Crop]."""
        if width * 218 != height * 178:
            raise OSError(
                f"it is of {width}x{height} pixels, and dve2019 is a window of CelebA's aligned "
                "images, 178x218"
            )
        cut, side = width * 20 / 136, width * 96 / 136
        return Box(cut, width * 30 / 178 + cut, side, side)


def make_crop(name: CropName, *, share: float, margin: float) -> Crop:
    """Return the policy of that name.

    Args:
        name: One of [CropName][lmkit.data.crops.CropName] other than ``none``.
        share: For ``centre``.
        margin: For ``annotated-box``.
    """
    policies: dict[str, Crop] = {
        "centre": Centre(share),
        "annotated-box": AnnotatedBox(margin),
        "sanchez2019": Sanchez2019(),
        "jakab2018": Jakab2018(),
        "dve2019": Dve2019(),
    }
    assert {"none", *policies} == set(get_args(CropName))
    return policies[name]


def _extent(points: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the least and greatest (x, y) of the points that are known; None if that is no box."""
    if points is None:
        return None
    known = np.asarray(points, dtype=np.float64)
    known = known[np.isfinite(known).all(axis=1)]
    if len(known) == 0:
        return None
    low, high = known.min(axis=0), known.max(axis=0)
    return (low, high) if (high > low).any() else None


def _need_extent(points: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    extent = _extent(points)
    if extent is None:
        raise OSError("it has no annotated points to be cropped by")
    return extent
