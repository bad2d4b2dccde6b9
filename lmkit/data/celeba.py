"""CelebA in its own layout, with the lists of MAFL where they are present.

Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015; Zhang et al., "Facial Landmark
Detection by Deep Multi-task Learning", ECCV 2014 (MAFL).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lmkit.data.pictures import load_image, quick_problem
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part

_FOLDERS = (".", "Img", "Anno", "Eval")  # where lists lie, and where the download puts them
_PICTURES = "img_align_celeba"
_LANDMARKS = "list_landmarks_align_celeba.txt"
_PARTITION = "list_eval_partition.txt"
_IDENTITY = "identity_CelebA.txt"
_POINTS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
_NAMED = 3  # how many pictures a message names

Value = TypeVar("Value")


class CelebA(Dataset):
    """CelebA or anything laid out like it: aligned pictures with five points.

    The folder holds ``img_align_celeba/`` and ``list_landmarks_align_celeba.txt``, and where at
    hand ``list_eval_partition.txt``, ``identity_CelebA.txt``, ``MAFL/training.txt`` and
    ``MAFL/testing.txt``. Left is left as seen in the image; coordinates are taken to count from the
    centre of the first pixel.

    With MAFL's lists, MAFL/testing tests, MAFL/training fits, and every picture outside of
    MAFL/testing trains. Without them, partition 2 tests, partition 0 fits, and every picture
    outside of partition 2 trains. Without either, lmkit holds out a share.

    Args:
        path: The folder.

    Raises:
        LmkitError: If a part of the layout is missing, or a list is malformed.
    """

    point_names = _POINTS
    normalising_pair = (0, 1)

    def __init__(self, *, path: Path) -> None:
        self._pictures = _need(path, _PICTURES, is_there=Path.is_dir)
        points = _read_points(_need(path, _LANDMARKS, is_there=Path.is_file))
        present = {entry.name for entry in self._pictures.iterdir()}
        absent = [name for name in points if name not in present]
        if len(absent) == len(points):
            raise LmkitError(
                f"{self._pictures} holds none of the {len(points)} pictures that {_LANDMARKS} "
                f"lists, such as {absent[0]}.",
                remedy=f"Unpack the pictures right into {self._pictures}.",
                code=ExitCode.DATA,
            )
        if absent:
            named = ", ".join(absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
            self.notes = (
                f"{len(absent)} of the {len(points)} pictures that {_LANDMARKS} lists are not in "
                f"{self._pictures} and are left out: {named}",
            )
        self._keys = [name for name in points if name in present]
        listed = np.array([points[name] for name in self._keys], dtype=np.float32)
        self._points = listed.reshape(-1, len(_POINTS), 2)
        self._subjects = _read_list(_find(path, _IDENTITY), _subject, points)
        self._parts = _read_parts(path, points)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """Return the name of the file."""
        return self._keys[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        return load_image(self._pictures / self._keys[index])

    def annotation(self, index: int) -> Annotation:
        """See [Dataset][lmkit.api.Dataset]."""
        return Annotation(self._points[index], self._subjects.get(self._keys[index]))

    def indices(self, part: Part) -> list[int] | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if self._parts is None:
            return None
        fit, test = self._parts["fit"], self._parts["test"]
        if part == "train":
            return [index for index, key in enumerate(self._keys) if key not in test]
        return [
            index for index, key in enumerate(self._keys) if key in (fit if part == "fit" else test)
        ]

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return quick_problem(self._pictures / self._keys[index])


def _find(root: Path, name: str, is_there: Callable[[Path], bool] = Path.is_file) -> Path | None:
    places = (root / folder / name for folder in _FOLDERS)
    return next((place for place in places if is_there(place)), None)


def _need(root: Path, name: str, is_there: Callable[[Path], bool]) -> Path:
    place = _find(root, name, is_there)
    if place is None:
        raise LmkitError(
            f"{root} is not laid out like CelebA: it has no {name}."
            if root.is_dir()
            else f"The folder {root} does not exist.",
            remedy=f"Give --data celeba:DIR a folder that holds {_PICTURES}/ and {_LANDMARKS}.",
            code=ExitCode.DATA,
        )
    return place


def _read_parts(root: Path, known: Mapping[str, object]) -> dict[str, set[str]] | None:
    """Return the names of the pictures that fit and that test, or none if no list says so."""
    training, testing = (_find(root, f"MAFL/{part}.txt") for part in ("training", "testing"))
    if training is not None and testing is not None:
        return {
            "fit": set(_read_list(training, _nothing, known)),
            "test": set(_read_list(testing, _nothing, known)),
        }
    if training is not None or testing is not None:
        missing = "training" if training is None else "testing"
        raise LmkitError(
            f"{root} has one list of MAFL, but not MAFL/{missing}.txt.",
            remedy="Add it; without both, pictures of MAFL's test could end up in training.",
            code=ExitCode.DATA,
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
    lines = _lines(path)
    count = lines[0].strip() if lines else ""
    if not count.isdecimal() or len(lines) < 2:
        raise _malformed(path, 1, "the number of pictures should stand here, and then a header")
    points = _rows(path, lines, 2, _coordinates)
    if len(points) != int(count):
        raise _malformed(path, 1, f"{count} pictures are announced, but {len(points)} follow")
    if not points:
        raise _malformed(path, 1, "it lists no picture")
    return points


def _read_list(
    path: Path | None, parse: Callable[[list[str]], Value], known: Mapping[str, object]
) -> dict[str, Value]:
    """Read a list of one picture a line, all of them known; empty if there is no list."""
    if path is None:
        return {}
    values = _rows(path, _lines(path), 0, parse)
    for number, name in enumerate(values, start=1):
        if name not in known:
            raise _malformed(path, number, f"{name} is not in {_LANDMARKS}")
    return values


def _rows(
    path: Path, lines: list[str], skip: int, parse: Callable[[list[str]], Value]
) -> dict[str, Value]:
    values: dict[str, Value] = {}
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
        raise ValueError(f"is not a picture and {2 * len(_POINTS)} numbers")
    return values


def _subject(cells: list[str]) -> str:
    if len(cells) != 1:
        raise ValueError("is not a picture and a subject")
    return cells[0]


def _partition(cells: list[str]) -> int:
    if cells not in (["0"], ["1"], ["2"]):
        raise ValueError("is not a picture and 0, 1 or 2")
    return int(cells[0])


def _nothing(cells: list[str]) -> None:
    if cells:
        raise ValueError("is not the name of a picture alone")


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LmkitError(
            f"{path} cannot be read as a list: {error}.",
            remedy="Download it again.",
            code=ExitCode.DATA,
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _malformed(path: Path, line: int, problem: str) -> LmkitError:
    return LmkitError(
        f"{path}, line {line}: {problem}.",
        remedy="Correct the line, or download the list again.",
        code=ExitCode.DATA,
    )
