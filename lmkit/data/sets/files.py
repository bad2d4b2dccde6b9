"""What the data sets of image files share: the images of a list, with what is known of each."""

import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmkit.data.framing import cut
from lmkit.data.image_files import load_image, quick_problem
from lmkit.data.sets.lists import missing_error, some
from lmkit.errors import LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part
from lmkit.storage import as_name, as_path, file_stamp

EYE_CORNERS = {68: (36, 45)}
"""For numbers of points, the pair that normalises errors: with 68, the outer corners of the eyes in
iBUG's order."""


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
        boxes: NDArray[np.int64] | None = None,
        sizes: ArrayLike | None = None,
    ) -> None:
        self._root = root
        self._files = Strings(files)
        self._keys = self._files if keys is None else Strings(keys)
        self._subjects = None if subjects is None else Strings(subjects)
        self._groups = None if groups is None else Strings(groups)
        self._boxes = boxes
        self._sizes = None if sizes is None else np.asarray(sizes, dtype=np.int32)
        if points is None:
            points = np.empty((len(files), 0, 2))
        elif boxes is not None:
            points = points - boxes[:, None, :2]
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
        image = load_image(self._path(index))
        if self._sizes is not None:
            size, wanted = image.shape[1::-1], self._sizes[index]
            if wanted.all() and size != tuple(wanted):
                raise OSError(
                    f"it has {size[0]} x {size[1]} pixels, but was annotated with "
                    f"{wanted[0]} x {wanted[1]}"
                )
        return image if self._boxes is None else cut(image, *self._boxes[index].tolist())

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
        except OSError:
            return "missing"
        box = "" if self._boxes is None else self._boxes[index].tolist()
        size = "" if self._sizes is None else self._sizes[index].tolist()
        return f"{stamp} {box} {size}"

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return quick_problem(self._path(index))

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


def present(
    root: Path, files: Sequence[str], *, listed_by: Path | str, remedy: str
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Look which of the images that a list names are there.

    Args:
        root: The folder they are relative to.
        files: Their paths, with forward slashes.
        listed_by: The list, for messages.
        remedy: What to do if none is there.

    Returns:
        For each whether it is there; and a note if some are not, else nothing.

    Raises:
        LmkitError: If none is there.
    """
    there = _exist(root, files)
    absent = sorted({file for file, found in zip(files, there, strict=True) if not found})
    count = len(set(files))
    if len(absent) == count:
        raise missing_error(
            f"{root} holds none of the {count} images that {listed_by} lists, such as {absent[0]}"
            if absent
            else f"{listed_by} lists no image",
            remedy,
        )
    if not absent:
        return there, ()
    return there, (
        f"{len(absent)} of the {count} images that {listed_by} lists are not in {root} and are "
        f"left out: {some(absent)}.",
    )


def choose_root(folders: Sequence[Path], files: Sequence[str]) -> Path:
    """Return the first of the folders that holds any of the files, or else the first."""
    return next((folder for folder in folders if _exist(folder, files).any()), folders[0])


def choose_pair(
    count: int, given: tuple[int, int] | None, default: tuple[int, int] = (0, 1)
) -> tuple[int, int]:
    """Return the two points whose distance normalises errors.

    Args:
        count: The number of points.
        given: The user's choice.
        default: What is taken if there is none.

    Raises:
        LmkitError: If the user's choice is not two of the points.
    """
    if given is None:
        return default
    if min(given) < 0 or max(given) >= count or given[0] == given[1]:
        raise LmkitError(
            f"Points {given[0]} and {given[1]} cannot normalise errors: the data has {count}.",
            remedy="Give two different ones, counted from 0.",
        )
    return given


def square_boxes(centres: NDArray[Any], sides: NDArray[Any]) -> NDArray[np.int64]:
    """Return square boxes of whole pixels.

    Args:
        centres: (N, 2), (x, y) in pixels, the centre of the first pixel at (0, 0).
        sides: (N,), in pixels.

    Returns:
        (N, 4), left, top, width and height.
    """
    whole = np.maximum(1, np.rint(sides))[:, None]
    corners = np.rint(centres + 0.5 - whole / 2)
    return np.concatenate([corners, whole, whole], axis=1).astype(np.int64)


def _exist(root: Path, files: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each file whether it is there, by listing each folder once."""
    listed: dict[str, set[str]] = {}

    def is_there(file: str) -> bool:
        folder, _, name = file.rpartition("/")
        if folder not in listed:
            listed[folder] = _names(root / as_path(folder))
        names = listed[folder]
        # A file system may know a file by more names than the one it lists.
        return name in names or (len(names) > 0 and (root / as_path(file)).is_file())

    return np.fromiter(map(is_there, files), dtype=np.bool_, count=len(files))


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {as_name(entry.name) for entry in entries if entry.is_file()}
    except OSError:
        return set()
