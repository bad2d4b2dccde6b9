"""CelebA in its own layout, with the lists of MAFL where they are present.

Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015; Zhang et al., "Facial Landmark
Detection by Deep Multi-task Learning", ECCV 2014 (MAFL).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import Files, present
from lmkit.data.sets.lists import malformed, missing_error, read_lines
from lmkit.errors import LmkitError
from lmkit.interfaces.dataset import Part

_FOLDERS = (".", "Img", "Anno", "Eval")  # where lists lie, and where the download puts them
_IMAGES = "img_align_celeba"
_LANDMARKS = "list_landmarks_align_celeba.txt"
_PARTITION = "list_eval_partition.txt"
_IDENTITY = "identity_CelebA.txt"
_POINTS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")

_Value = TypeVar("_Value")


class CelebA(Files):
    """CelebA or anything laid out like it: aligned images with five points.

    The folder holds ``img_align_celeba/`` and ``list_landmarks_align_celeba.txt``, and where at
    hand ``list_eval_partition.txt``, ``identity_CelebA.txt``, ``MAFL/training.txt`` and
    ``MAFL/testing.txt``. Left is left as seen in the image; coordinates are taken to count from the
    centre of the first pixel.

    With MAFL's lists, MAFL/testing tests, MAFL/training fits, and every image outside of
    MAFL/testing trains. Without them, partition 2 tests, partition 0 fits, and every image
    outside of partition 2 trains. Without either, lmkit holds out a share.

    Args:
        path: The folder.

    Raises:
        LmkitError: If a part of the layout is missing, or a list is malformed.
    """

    point_names = _POINTS
    normalising_pair = (0, 1)

    def __init__(self, *, path: Path) -> None:
        images = _need(path, _IMAGES, is_there=Path.is_dir)
        points = _read_points(_need(path, _LANDMARKS, is_there=Path.is_file))
        names = list(points)
        subjects = _read_list(_find(path, _IDENTITY), _subject, points)
        parts = _read_parts(path, points)
        there, self.notes = present(
            images,
            names,
            listed_by=_LANDMARKS,
            remedy=f"Unpack the images right into {images}.",
        )
        names = [name for name, found in zip(names, there, strict=True) if found]
        super().__init__(
            images,
            names,
            points=np.array([points[name] for name in names]).reshape(-1, len(_POINTS), 2),
            subjects=[subjects.get(name, "") for name in names] if subjects else None,
            parts=None if parts is None else _masks(names, parts),
        )


def _masks(names: list[str], parts: Mapping[Part, set[str]]) -> dict[Part, NDArray[np.bool_]]:
    masks: dict[Part, NDArray[np.bool_]] = {
        part: np.array([name in chosen for name in names]) for part, chosen in parts.items()
    }
    return {**masks, "train": ~masks["test"]}


def _find(root: Path, name: str, is_there: Callable[[Path], bool] = Path.is_file) -> Path | None:
    places = (root / folder / name for folder in _FOLDERS)
    return next((place for place in places if is_there(place)), None)


def _need(root: Path, name: str, is_there: Callable[[Path], bool]) -> Path:
    place = _find(root, name, is_there)
    if place is None:
        raise missing_error(
            f"{root} is not laid out like CelebA: it has no {name}"
            if root.is_dir()
            else f"The folder {root} does not exist",
            f"Give --data celeba:DIR a folder that holds {_IMAGES}/ and {_LANDMARKS}.",
        )
    return place


def _read_parts(root: Path, known: Mapping[str, object]) -> dict[Part, set[str]] | None:
    """Return the names of the images that fit and that test, or None if no list says so."""
    training, testing = (_find(root, f"MAFL/{part}.txt") for part in ("training", "testing"))
    if training is not None and testing is not None:
        return {
            "fit": set(_read_list(training, _nothing, known)),
            "test": set(_read_list(testing, _nothing, known)),
        }
    if training is not None or testing is not None:
        other = "training" if training is None else "testing"
        raise missing_error(
            f"{root} has one list of MAFL, but not MAFL/{other}.txt",
            "Add it; without both, images of MAFL's test could end up in training.",
        )
    partition = _find(root, _PARTITION)
    if partition is None:
        return None
    parts = _read_list(partition, _partition, known)
    return {
        "fit": {name for name, part in parts.items() if part == 0},
        "test": {name for name, part in parts.items() if part == 2},
    }


def _read_points(path: Path) -> dict[str, list[float]]:
    """Read the list that starts with a count and a header line."""
    lines = read_lines(path)
    count = lines[0].strip() if lines else ""
    if not count.isdecimal() or len(lines) < 2:
        raise _malformed(path, 1, "the number of images should stand here, and then a header")
    points = _rows(path, lines, 2, _coordinates)
    if len(points) != int(count):
        raise _malformed(path, 1, f"{count} images are announced, but {len(points)} follow")
    if not points:
        raise _malformed(path, 1, "it lists no image")
    return points


def _read_list(
    path: Path | None, parse: Callable[[list[str]], _Value], known: Mapping[str, object]
) -> dict[str, _Value]:
    """Read a list of one image a line, all of them known; empty if there is no list."""
    if path is None:
        return {}
    values = _rows(path, read_lines(path), 0, parse)
    for number, name in enumerate(values, start=1):
        if name not in known:
            raise _malformed(path, number, f"{name} is not in {_LANDMARKS}")
    return values


def _rows(
    path: Path, lines: list[str], skip: int, parse: Callable[[list[str]], _Value]
) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for number, line in enumerate(lines[skip:], start=skip + 1):
        name, *cells = line.split() or [""]
        try:
            value = parse(cells)
        except ValueError as error:
            raise _malformed(path, number, f"'{line[:60]}' {error}") from error
        if name in values:
            raise _malformed(path, number, f"{name} is listed already")
        values[name] = value
    return values


def _coordinates(cells: list[str]) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        values = []
    if len(values) != 2 * len(_POINTS) or not np.isfinite(values).all():
        raise ValueError(f"is not an image and {2 * len(_POINTS)} numbers")
    return values


def _subject(cells: list[str]) -> str:
    if len(cells) != 1:
        raise ValueError("is not an image and a subject")
    return cells[0]


def _partition(cells: list[str]) -> int:
    if cells not in (["0"], ["1"], ["2"]):
        raise ValueError("is not an image and 0, 1 or 2")
    return int(cells[0])


def _nothing(cells: list[str]) -> None:
    if cells:
        raise ValueError("is not the name of an image alone")


def _malformed(path: Path, line: int, problem: str) -> LmkitError:
    return malformed(path, line, problem, "Correct the line, or download the list again.")
