"""What the data sets of image files share: the images of a list, with what is known of each."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmkit.data.framing import cut
from lmkit.data.image_files import load_image, quick_problem
from lmkit.data.sets.lists import FURTHEST, missing_error
from lmkit.errors import LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part
from lmkit.storage import as_path, file_stamp

_LEAST_SHARE = 0.02  # of a box that lies in its image; beyond the image there are repeated edges
_LARGEST_MARGIN = 100

CUT_OUT = (
    "Each {} is cut out by its annotation, which tells where it is and how large: compare results "
    "on the same crops only."
)
"""What data whose images are boxes says of itself, with the name of what is in them."""


class Strings:
    """Many short texts in one block, which is handed to worker processes at once.

    Args:
        texts: The texts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        block, ends = bytearray(), array("q", [0])
        for text in texts:
            block += text.encode("utf-8", "surrogateescape")
            ends.append(len(block))
        self._ends = np.frombuffer(ends, np.int64)
        self._block = bytes(block)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        block = self._block[self._ends[index] : self._ends[index + 1]]
        return block.decode("utf-8", "surrogateescape")


class Files(Dataset):
    """Images in files, or boxes cut out of them, N in all. Readers fill it and add nothing to it.

    Args:
        root: The folder that the files are relative to.
        files: N paths, with forward slashes; where there are boxes, one may occur several times.
        keys: The images' N names; by default the files.
        points: (N, P, 2), (x, y) in pixels of the file, (NaN, NaN) where not known.
        subjects: Who is on each of the N; empty where not known.
        groups: What must not be divided between training and testing, for each of the N; by default
            the subject, and where there are boxes the file.
        parts: For training and testing, and for fitting where that is not whatever trains and is
            annotated, N truth values.
        boxes: (N, 4), left, top, width and height in whole pixels of the file, of what to cut out;
            beyond the file's borders its edges are repeated.
        sizes: (N, 2), width and height that each file must have; 0 where not known.
        problems: What is wrong with the annotation of some of the N, by number. They are left out
            and counted as those are whose file cannot be read. Points or boxes that can be no part
            of any image are found here.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        *,
        keys: Sequence[str] | None = None,
        points: NDArray[Any] | None = None,
        subjects: Iterable[str] | None = None,
        groups: Iterable[str] | None = None,
        parts: Mapping[Part, NDArray[np.bool_]] | None = None,
        boxes: NDArray[Any] | None = None,
        sizes: ArrayLike | None = None,
        problems: Mapping[int, str] | None = None,
    ) -> None:
        self._root = root
        self._files = Strings(files)
        self._keys = self._files if keys is None else Strings(keys)
        self._subjects = None if subjects is None else Strings(subjects)
        self._groups = None if groups is None else Strings(groups)
        self._sizes = None if sizes is None else np.asarray(sizes, dtype=np.int32)
        self._problems = dict(problems or {})
        points = np.empty((len(files), 0, 2)) if points is None else points.astype(np.float64)
        self._note(_odd_points(points))
        self._boxes = None
        if boxes is not None:
            self._note(_odd_boxes(boxes, self._sizes))
            boxes = boxes.astype(np.float64)
            boxes[[*self._problems]] = (0, 0, 1, 1)
            self._boxes = boxes.astype(np.int64)
            points = points - boxes[:, None, :2]
        points[[*self._problems]] = np.nan
        self._points = points.astype(np.float32)
        self._annotated = np.asarray(np.isfinite(self._points).any(axis=(1, 2)))
        self._parts = None if parts is None else dict(parts)
        if self._parts is not None and "fit" not in self._parts:
            self._parts["fit"] = self._parts["train"] & self._annotated

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._keys[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        if index in self._problems:
            raise OSError(self._problems[index])
        image = load_image(self._path(index))
        if self._sizes is not None:
            size, wanted = image.shape[1::-1], self._sizes[index]
            if wanted.all() and size != tuple(wanted):
                raise OSError(
                    f"it has {size[0]} x {size[1]} pixels, but was annotated with "
                    f"{wanted[0]} x {wanted[1]}"
                )
        if self._boxes is None:
            return image
        box = self._boxes[index].tolist()
        if outside := _outside(box, image.shape[1], image.shape[0]):
            raise OSError(outside)
        return cut(image, *box)

    def annotation(self, index: int) -> Annotation:
        """See [Dataset][lmkit.api.Dataset]."""
        points = self._points[index] if self._annotated[index] else None
        return Annotation(points, self._subjects[index] or None if self._subjects else None)

    def group(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if self._groups is not None:
            return self._groups[index]
        return super().group(index) or (None if self._boxes is None else self._files[index])

    def indices(self, part: Part) -> list[int] | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if self._parts is None:
            return None
        chosen: list[int] = np.flatnonzero(self._parts[part]).tolist()
        return chosen

    def stamp(self, index: int) -> str:
        """See [Dataset][lmkit.api.Dataset]."""
        try:
            stamp = file_stamp(self._path(index))
        except (OSError, ValueError):
            return "missing"
        box = "" if self._boxes is None else self._boxes[index].tolist()
        size = "" if self._sizes is None else self._sizes[index].tolist()
        return f"{stamp} {box} {size}"

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._problems.get(index) or quick_problem(self._path(index))

    def _note(self, problems: Mapping[int, str]) -> None:
        for index, problem in problems.items():
            self._problems.setdefault(index, problem)

    def _path(self, index: int) -> Path:
        return self._root / as_path(self._files[index])


def need_folder(path: Path, what: str, remedy: str) -> None:
    """Insist that a path is a folder.

    Args:
        path: The path.
        what: What the folder is to be, such as "folder of images".
        remedy: What to do if it is not.

    Raises:
        LmkitError: If it is none.
    """
    if not path.is_dir():
        state = "is a file, not a folder" if path.exists() else "does not exist"
        raise missing_error(f"The {what} {path} {state}", remedy)


def check_margin(margin: float) -> None:
    """Insist on a margin that boxes can be enlarged by.

    Raises:
        LmkitError: If it is not above 0, or far too large.
    """
    if not 0 < margin <= _LARGEST_MARGIN:
        raise LmkitError(
            f"Boxes cannot be enlarged by a margin of {margin:g}.",
            remedy=f"Give a number above 0 and up to {_LARGEST_MARGIN}, such as 1.25.",
        )


def square_boxes(centres: NDArray[Any], sides: NDArray[Any]) -> NDArray[np.float64]:
    """Return square boxes of whole pixels.

    Args:
        centres: (N, 2), (x, y) in pixels, the centre of the first pixel at (0, 0).
        sides: (N,), in pixels.

    Returns:
        (N, 4), left, top, width and height.
    """
    whole = np.maximum(1, np.rint(sides))[:, None]
    corners = np.rint(centres + 0.5 - whole / 2)
    return np.concatenate([corners, whole, whole], axis=1)


def _odd_points(points: NDArray[Any]) -> dict[int, str]:
    """Say which points are so far away that they must be wrong; (NaN, NaN) are not known."""
    odd = ~np.isnan(points) & ~(np.abs(points) <= FURTHEST)
    found = {}
    for index in np.flatnonzero(odd.any(axis=(1, 2))).tolist():
        number = int(np.flatnonzero(odd[index].any(axis=1))[0])
        x, y = points[index, number]
        found[index] = f"its point {number} lies at ({x:g}, {y:g}), beyond {FURTHEST:,} pixels"
    return found


def _odd_boxes(boxes: NDArray[Any], sizes: NDArray[Any] | None) -> dict[int, str]:
    """Say which boxes are no part of an image, as far as the image's size is known."""
    sound = (np.abs(boxes) <= FURTHEST).all(axis=1) & (boxes[:, 2:] >= 1).all(axis=1)
    odd = np.flatnonzero(~sound).tolist()
    found = dict.fromkeys(odd, "its box is no number of pixels, or too large")
    if sizes is not None:
        for index in np.flatnonzero(sound & sizes.all(axis=1)).tolist():
            width, height = sizes[index].tolist()
            if outside := _outside(boxes[index].tolist(), width, height):
                found[index] = outside
    return found


def _outside(box: Sequence[float], width: int, height: int) -> str | None:
    """Say that what a box shows is next to nothing but repeated edges of its image; or None."""
    left, top, across, down = box
    inner = (min(left + across, width) - max(left, 0), min(top + down, height) - max(top, 0))
    share = max(inner[0], 0) * max(inner[1], 0) / (across * down)
    if share >= _LEAST_SHARE:
        return None
    where = f"its box of {across:g} x {down:g} pixels at ({left:g}, {top:g})"
    return f"{where} lies outside of the image of {width} x {height}, all but {share:.1%}"
