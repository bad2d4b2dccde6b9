"""CelebA in its own layout, with the lists of MAFL where they are present.

Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015; Zhang et al., "Facial Landmark
Detection by Deep Multi-task Learning", ECCV 2014 (MAFL).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import Files
from lmkit.data.sets.lists import (
    NOT_KNOWN,
    announced,
    coordinate,
    malformed,
    missing_error,
    read_lines,
    shown,
)
from lmkit.data.sets.locate import locate
from lmkit.data.sets.objects import unique
from lmkit.errors import LmkitError
from lmkit.interfaces.dataset import Part

_FOLDERS = (".", "Img", "Anno", "Eval")  # where lists lie, and where the download puts them
_IMAGES = "img_align_celeba"
_LANDMARKS = "list_landmarks_align_celeba.txt"
_PARTITION = "list_eval_partition.txt"
_IDENTITY = "identity_CelebA.txt"
_TABLE = ".csv"  # what lists end in where the data set comes as on Kaggle: a header, and commas
_POINTS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")

_Value = TypeVar("_Value")


class CelebA(Files):
    """CelebA or anything laid out like it: aligned images with five points.

    The folder holds ``img_align_celeba/`` and ``list_landmarks_align_celeba.txt``, and where at
    hand ``list_eval_partition.txt``, ``identity_CelebA.txt``, ``MAFL/training.txt`` and
    ``MAFL/testing.txt``. Left is left as seen in the image; coordinates are taken to count from the
    centre of the first pixel. Lists may also be tables with commas (``.csv``), and the images lie
    in a folder of the same name within their folder, as Kaggle has them.

    An image whose points are malformed is left out and counted as one that cannot be read.

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
        within = images / _IMAGES
        landmarks = _need(path, _LANDMARKS, is_there=Path.is_file)
        points, problems, nameless = _read_points(landmarks)
        names = list(points)
        subjects = _read_list(_find(path, _IDENTITY), _subject, points, landmarks)
        parts = _read_parts(path, points, landmarks)
        where = locate(
            [images, within] if within.is_dir() else [images],
            ["" if name in nameless else name for name in names],
            listed_by=landmarks.name,
            remedy=f"Unpack the images right into {images}.",
        )
        files = [file for file, there in zip(where.files, where.there, strict=True) if there]
        names = [name for name, there in zip(names, where.there, strict=True) if there]
        super().__init__(
            where.root,
            files,
            keys=unique([file or name for file, name in zip(files, names, strict=True)]),
            points=np.array([points[name] for name in names]).reshape(-1, len(_POINTS), 2),
            subjects=[subjects.get(name, "") for name in names] if subjects else None,
            parts=None if parts is None else _masks(names, parts),
            problems={n: problems[name] for n, name in enumerate(names) if name in problems},
        )
        self.notes = where.notes


def _masks(names: list[str], parts: Mapping[Part, set[str]]) -> dict[Part, NDArray[np.bool_]]:
    masks: dict[Part, NDArray[np.bool_]] = {
        part: np.array([name in chosen for name in names]) for part, chosen in parts.items()
    }
    return {**masks, "train": ~masks["test"]}


def _find(root: Path, name: str, is_there: Callable[[Path], bool] = Path.is_file) -> Path | None:
    names = (name, Path(name).with_suffix(_TABLE).name) if name.endswith(".txt") else (name,)
    places = (root / folder / each for each in names for folder in _FOLDERS)
    return next((place for place in places if is_there(place)), None)


def _need(root: Path, name: str, is_there: Callable[[Path], bool]) -> Path:
    place = _find(root, name, is_there)
    if place is None:
        raise missing_error(
            f"{root} is not laid out like CelebA: it has no {name}"
            + (f" and no {Path(name).with_suffix(_TABLE)}" if name.endswith(".txt") else "")
            if root.is_dir()
            else f"The folder {root} does not exist",
            f"Give --data celeba:DIR a folder that holds {_IMAGES}/ and {_LANDMARKS}.",
        )
    return place


def _read_parts(
    root: Path, known: Mapping[str, object], listed_by: Path
) -> dict[Part, set[str]] | None:
    """Return the names of the images that fit and that test, or None if no list says so."""
    training, testing = (_find(root, f"MAFL/{part}.txt") for part in ("training", "testing"))
    if training is not None and testing is not None:
        return {
            "fit": set(_read_list(training, _nothing, known, listed_by)),
            "test": set(_read_list(testing, _nothing, known, listed_by)),
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
    parts = _read_list(partition, _partition, known, listed_by)
    return {
        "fit": {name for name, part in parts.items() if part == 0},
        "test": {name for name, part in parts.items() if part == 2},
    }


def _read_points(path: Path) -> tuple[dict[str, list[float]], dict[str, str], set[str]]:
    """Read the list of points.

    Returns:
        The points by image; what is wrong with some images' points; and the lines, named like
        images, that name none of their own.
    """
    lines, skip = _lines(path)
    count = None
    if path.suffix != _TABLE:
        count = announced(lines[0]) if lines else None
        if count is None or len(lines) < 2:
            raise _malformed(path, 1, "the number of images should stand here, and then a header")
        skip = 2
    points: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    nameless = set()
    for number, line in enumerate(lines[skip:], start=skip + 1):
        name, *cells = _cells(path, line)
        if not name or name in points:
            problem = f"{shown(name)} is listed already" if name else "it names no image"
            name = f"{_LANDMARKS} line {number}"
            points[name], problems[name] = [np.nan] * 2 * len(_POINTS), problem
            nameless.add(name)
            continue
        try:
            points[name] = _coordinates(cells)
        except ValueError as error:
            points[name] = [np.nan] * 2 * len(_POINTS)
            problems[name] = f"line {number} of {path.name}, '{shown(line)[:60]}', {error}"
    if count is not None and len(points) != count:
        raise _malformed(path, 1, f"{count} images are announced, but {len(points)} follow")
    if not points:
        raise _malformed(path, 1, "it lists no image")
    return points, problems, nameless


def _lines(path: Path) -> tuple[list[str], int]:
    """Return the lines of a list, and how many of them are the header of a table."""
    lines = read_lines(path)
    return lines, int(path.suffix == _TABLE and bool(lines))


def _cells(path: Path, line: str) -> list[str]:
    """Return the words of a line, at least one."""
    if path.suffix == _TABLE:
        return [cell.strip() for cell in line.split(",")]
    return line.split() or [""]


def _read_list(
    path: Path | None,
    parse: Callable[[list[str]], _Value],
    known: Mapping[str, object],
    listed_by: Path,
) -> dict[str, _Value]:
    """Read a list of one image a line, all of them known; empty if there is no list."""
    if path is None:
        return {}
    lines, skip = _lines(path)
    values: dict[str, _Value] = {}
    for number, line in enumerate(lines[skip:], start=skip + 1):
        name, *cells = _cells(path, line)
        try:
            value = parse(cells)
        except ValueError as error:
            raise _malformed(path, number, f"'{shown(line)[:60]}' {error}") from error
        if name in values:
            raise _malformed(path, number, f"{shown(name)} is listed already")
        if name not in known:
            raise _malformed(path, number, f"{shown(name)} is not in {listed_by.name}")
        values[name] = value
    return values


def _coordinates(cells: list[str]) -> list[float]:
    if len(cells) != 2 * len(_POINTS):
        raise ValueError(f"is not an image and {2 * len(_POINTS)} numbers")
    try:
        values = [coordinate(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"holds something {error}") from None
    if np.isnan(values).any():
        raise ValueError(f"is not an image and {2 * len(_POINTS)} numbers")
    return values


def _subject(cells: list[str]) -> str:
    if len(cells) != 1:
        raise ValueError("is not an image and a subject")
    return "" if cells[0].lower() in NOT_KNOWN else cells[0]


def _partition(cells: list[str]) -> int:
    if cells not in (["0"], ["1"], ["2"]):
        raise ValueError("is not an image and 0, 1 or 2")
    return int(cells[0])


def _nothing(cells: list[str]) -> None:
    if cells:
        raise ValueError("is not the name of an image alone")


def _malformed(path: Path, line: int, problem: str) -> LmkitError:
    return malformed(path, line, problem, "Correct the line, or download the list again.")
