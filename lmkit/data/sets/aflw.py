"""AFLW with five points, as prepared for landmark discovery.

Koestinger et al., "Annotated Facial Landmarks in the Wild", ICCV Workshops 2011. The lists and
crops are those that Jakab et al. 2018 (github.com/tomasjakab/imm) and Thewlis et al. 2019
(github.com/jamt9000/DVE) read; so is what is said here of their coordinates.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import Files, need_folder
from lmkit.data.sets.lists import FURTHEST, malformed, missing_error, read_lines, shown
from lmkit.data.sets.locate import locate
from lmkit.data.sets.matlab import read_matlab

_IMAGES = "output"
_POINTS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
_REMEDY = (
    "Give --data aflw:DIR a folder that holds aflw_train_images.txt, aflw_train_keypoints.mat, "
    "aflw_test_images.txt, aflw_test_keypoints.mat and output/."
)


class AFLW(Files):
    """AFLW's faces with five points: 10,122 that train and fit, 2,991 that test.

    The folder holds ``aflw_train_images.txt`` and ``aflw_test_images.txt``, one image a line;
    ``aflw_train_keypoints.mat`` and ``aflw_test_keypoints.mat`` with the variable ``gt``, N x 5 x
    2, y before x, and where at hand ``hw``, each image's height and width; and the images,
    already cropped to one face, below ``output``. Left is left as seen in the image. The points
    are pixels of the cropped image, taken to count from 0, since the loaders of Jakab et al. 2018
    and Thewlis et al. 2019 shift them by nothing. The files are read with scipy. An image whose row
    is no five points is left out and counted as one that cannot be read.

    Args:
        path: The folder.

    Raises:
        LmkitError: If a part of the layout is missing or malformed, or scipy is not installed.
    """

    point_names = _POINTS
    normalising_pair = (0, 1)

    def __init__(self, *, path: Path) -> None:
        need_folder(path, "folder", _REMEDY)
        lists = {part: path / f"aflw_{part}_images.txt" for part in ("train", "test")}
        named = {part: _read_list(file) for part, file in lists.items()}
        training = set(named["train"])
        for line, name in enumerate(named["test"], start=1):
            if name in training:
                raise malformed(
                    lists["test"],
                    line,
                    f"{shown(name)} is in {lists['train'].name} as well",
                    "Take it out of one of them, so that it does not train and test.",
                )
        known = {part: _read_points(path, part, len(names)) for part, names in named.items()}
        files = [*named["train"], *named["test"]]
        where = locate(
            [path / _IMAGES],
            files,
            listed_by=f"{lists['train'].name} and {lists['test'].name}",
            remedy=f"Unpack the images right into {path / _IMAGES}.",
        )
        there = where.there
        tests = np.arange(len(files)) >= len(named["train"])
        points, sizes = (np.concatenate(pair) for pair in zip(*known.values(), strict=True))
        points, sizes = points[there], sizes[there]
        lost = ~np.isfinite(points).all(axis=(1, 2))
        odd = ~((sizes >= 0) & (sizes <= FURTHEST)).all(axis=1)
        sizes[odd] = 0
        super().__init__(
            path / _IMAGES,
            [file for file, found in zip(where.files, there, strict=True) if found],
            points=points,
            sizes=sizes,
            parts={"train": ~tests[there], "test": tests[there]},
            problems={
                **dict.fromkeys(np.flatnonzero(odd).tolist(), "its row of hw is no size"),
                **dict.fromkeys(np.flatnonzero(lost).tolist(), "its row of gt is no five points"),
            },
        )
        self.notes = where.notes


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise missing_error(f"{path.parent} has no {path.name}", _REMEDY)
    names: dict[str, int] = {}
    for line, text in enumerate(read_lines(path), start=1):
        name = text.strip()
        if not name:
            raise malformed(path, line, "it names no image", "Remove the line, here and in gt.")
        if name in names:
            raise malformed(
                path,
                line,
                f"{shown(name)} is listed already, on line {names[name]}",
                "Remove one of them.",
            )
        names[name] = line
    if not names:
        raise malformed(path, 1, "it lists no image", "Download the list again.")
    return list(names)


def _read_points(
    folder: Path, part: str, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points, (N, 5, 2) as (x, y), and the sizes, (N, 2) as width and height or 0."""
    path, listed = folder / f"aflw_{part}_keypoints.mat", f"aflw_{part}_images.txt"
    if not path.is_file():
        raise missing_error(f"{folder} has no {path.name}", _REMEDY)
    content = read_matlab(path, "gt", "hw")
    points = _array(path, "gt", content["gt"], (count, len(_POINTS), 2), listed)
    sizes = np.zeros((count, 2))
    if "hw" in content:
        sizes = _array(path, "hw", content["hw"], (count, 2), listed)
    return points[:, :, ::-1], sizes[:, ::-1]


def _array(
    path: Path, name: str, value: Any, shape: tuple[int, ...], listed: str
) -> NDArray[np.float64]:
    """Insist that a variable holds numbers, for each image that the list names."""
    # Arrays of one lose that dimension on the way.
    if np.shape(value) != (shape if shape[0] > 1 else shape[1:]):
        raise malformed(
            path,
            f"variable {name}",
            f"it is {_by(np.shape(value))}, but {listed} lists {shape[0]} images, which makes it "
            f"{_by(shape)}",
            f"Download both again: each row of {name} belongs to the same line of the list.",
        )
    array = np.asarray(value).reshape(shape)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise malformed(path, f"variable {name}", "it holds no real numbers", "Download it again.")
    return array.astype(np.float64)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single value"
