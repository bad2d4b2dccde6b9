"""Faces with a ``.pts`` file beside each image: 300-W, and whatever else is annotated so.

Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013.
"""

import math
from pathlib import Path

import numpy as np

from lmkit.data.image_kinds import image_suffixes
from lmkit.data.sets.files import EYE_CORNERS, Files, choose_pair, need_folder
from lmkit.data.sets.listing import find_files
from lmkit.data.sets.lists import malformed, missing_error, read_lines, some
from lmkit.errors import LmkitError

_REMEDY = "Give --data 300w:DIR a folder of images with a .pts file beside each, or above such."
_TRAIN = (("afw",), ("helen", "trainset"), ("lfpw", "trainset"))
_TEST = (("helen", "testset"), ("lfpw", "testset"), ("ibug",))

Points = list[tuple[float, float]]


class IBug(Files):
    """Every image below a folder, with the points of the ``.pts`` file of the same name.

    A ``.pts`` file says ``version: 1``, ``n_points: P`` and, between braces, x and y of each point.
    All files have equally many. An image without one trains, and does neither fit nor test.

    With 300-W's folders, afw, helen/trainset and lfpw/trainset train and fit, and helen/testset,
    lfpw/testset and ibug test: the split that is commonly used. Images in other folders are then
    in no part. Without folders of both kinds, lmkit holds out a share.

    Args:
        path: The folder.
        one_based: Whether the first pixel is at (1, 1), as in iBUG's files, and not at (0, 0).
        normalising_pair: The two points, counted from 0, whose distance normalises errors; by
            default 36,45 of 68 points (the outer eye corners in iBUG's order), else 0,1.

    Raises:
        LmkitError: If no image has points, or a ``.pts`` file is malformed.
    """

    def __init__(
        self,
        *,
        path: Path,
        one_based: bool = True,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        need_folder(path, "folder", _REMEDY)
        images = sorted(find_files(path, image_suffixes()))
        annotations = {_stem(file): file for file in sorted(find_files(path, (".pts",)))}
        known = {file: _stem(file) for file in images if _stem(file) in annotations}
        if not known:
            raise missing_error(f"No image in {path} or below has a .pts file beside it", _REMEDY)
        read = {file: _read(path / annotations[stem]) for file, stem in known.items()}
        first = next(iter(read))
        count = len(read[first])
        for file, own in read.items():
            if len(own) != count:
                raise malformed(
                    path / annotations[known[file]],
                    "n_points",
                    f"it has {len(own)} points, but {annotations[known[first]]} has {count}",
                    "Keep files of other points in another folder.",
                )
        points = np.full((len(images), count, 2), np.nan)
        for index, file in enumerate(images):
            if file in read:
                points[index] = read[file]
        # Counting from 1 is how iBUG annotated, in MATLAB; menpo, their own library, subtracts it.
        points -= int(one_based)
        train, test = (
            np.array([_is_in(path, file, folders) for file in images])
            for folders in (_TRAIN, _TEST)
        )
        split = train.any() and test.any()
        annotated = np.array([file in read for file in images])
        super().__init__(
            path,
            images,
            points=points,
            parts={"train": train, "test": test & annotated} if split else None,
        )
        self.point_names = tuple(map(str, range(count)))
        self.normalising_pair = choose_pair(count, normalising_pair, EYE_CORNERS.get(count, (0, 1)))
        lonely = sorted(annotations[stem] for stem in annotations.keys() - set(known.values()))
        elsewhere = int((~train & ~test).sum()) if split else 0
        self.notes = (
            *_note(len(lonely), f".pts files have no image beside them: {some(lonely)}"),
            *_note(int((~annotated).sum()), "images have no .pts file beside them"),
            *_note(elsewhere, "images are outside of 300-W's folders, and in no part"),
        )


def _note(count: int, what: str) -> tuple[str, ...]:
    return (f"{count} {what}.",) if count else ()


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _is_in(root: Path, file: str, folders: tuple[tuple[str, ...], ...]) -> bool:
    """Say whether a file lies in one of the folders, at any depth, of which the root may be one."""
    parts = [part.lower() for part in (*root.resolve().parts[-2:], *file.split("/")[:-1])]
    return any(
        tuple(parts[start : start + len(folder)]) == folder
        for folder in folders
        for start in range(len(parts))
    )


def _read(path: Path) -> Points:
    """Read the points of a ``.pts`` file, as they stand there."""
    lines = [(number, line.split()) for number, line in enumerate(read_lines(path), start=1)]
    lines = [(number, words) for number, words in lines if words]
    header = {words[0].rstrip(":"): (number, words[1:]) for number, words in lines[:2]}
    number, announced = header.get("n_points", (1, []))
    if len(announced) != 1 or not announced[0].isdecimal() or announced == ["0"]:
        raise _malformed(path, number, "'n_points: P' should stand here, with the number of points")
    opening = next((place for place, (_, words) in enumerate(lines[:3]) if words == ["{"]), None)
    if opening is None:
        raise _malformed(path, number + 1, "'{' should stand here, before the points")
    points: Points = []
    for number, words in lines[opening + 1 :]:
        if words == ["}"]:
            break
        points.append(_point(path, number, words))
    else:
        raise _malformed(path, number, "the file ends without '}' after the points")
    if len(points) != int(announced[0]):
        raise _malformed(path, number, f"{announced[0]} points are announced, not {len(points)}")
    return points


def _point(path: Path, line: int, words: list[str]) -> tuple[float, float]:
    try:
        x, y = map(float, words)
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise _malformed(path, line, f"'{' '.join(words)[:60]}' is not the x and y of a point")
    return x, y


def _malformed(path: Path, line: int, problem: str) -> LmkitError:
    return malformed(path, line, problem, "Correct the file, or take it out of the folder.")
