"""Faces with a ``.pts`` file beside each image: 300-W, and whatever else is annotated so.

Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from lmkit.data.image_kinds import image_suffixes
from lmkit.data.sets.files import Files, need_folder
from lmkit.data.sets.listing import find_files
from lmkit.data.sets.lists import announced, coordinate, missing_error, read_lines, shown, some
from lmkit.data.sets.normalising import choose_pair, near_note
from lmkit.errors import LmkitError

_REMEDY = "Give --data 300w:DIR a folder of images with a .pts file beside each, or above such."
_TRAIN = (("afw",), ("helen", "trainset"), ("lfpw", "trainset"))
_TEST = (("helen", "testset"), ("lfpw", "testset"), ("ibug",))

Points = list[tuple[float, float]]


class IBug(Files):
    """Every image below a folder, with the points of the ``.pts`` file of the same name.

    A ``.pts`` file says ``version: 1``, ``n_points: P`` and, between braces, x and y of each point.
    All files have equally many. An image without one trains, and does neither fit nor test. One
    whose ``.pts`` file is malformed, or has another number of points than most, is left out and
    counted as an image that cannot be read.

    With 300-W's folders, afw, helen/trainset and lfpw/trainset train and fit, and helen/testset,
    lfpw/testset and ibug test: the split that is commonly used. Images in other folders are then
    in no part. Without folders of both kinds, lmkit holds out a share.

    Args:
        path: The folder.
        one_based: Whether the first pixel is at (1, 1), as in iBUG's files, and not at (0, 0).
        normalising_pair: The two points, counted from 0, whose distance normalises errors; by
            default the outer corners of the eyes where the number of points tells their order
            (36,45 of 68 points; also 19, 21, 29, 98 and 106), else 0,1.

    Raises:
        LmkitError: If no image has points.
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
        read: dict[str, Points] = {}
        problems: dict[str, str] = {}
        for file, stem in known.items():
            try:
                read[file] = _read(path / annotations[stem])
            except ValueError as error:
                problems[file] = f"{annotations[stem]}, {error}"
        if not read:
            first = next(iter(problems.values()))
            raise missing_error(f"No .pts file in {path} or below can be used: {first}", _REMEDY)
        ((count, _),) = Counter(map(len, read.values())).most_common(1)
        for file, own in read.items():
            if len(own) != count:
                problems[file] = (
                    f"{annotations[known[file]]} has {len(own)} points, but most have {count}"
                )
        points = np.full((len(images), count, 2), np.nan)
        for index, file in enumerate(images):
            if file in read and file not in problems:
                points[index] = read[file]
        # Counting from 1 is how iBUG annotated, in MATLAB; menpo, their own library, subtracts it.
        points -= int(one_based)
        train, test = (
            np.array([_is_in(path, file, folders) for file in images])
            for folders in (_TRAIN, _TEST)
        )
        split = train.any() and test.any()
        annotated = np.array([file in known for file in images])
        super().__init__(
            path,
            images,
            points=points,
            parts={"train": train, "test": test & annotated} if split else None,
            problems={n: problems[file] for n, file in enumerate(images) if file in problems},
        )
        self.point_names = tuple(map(str, range(count)))
        self.normalising_pair = choose_pair(self.point_names, normalising_pair)
        lonely = sorted(annotations[stem] for stem in annotations.keys() - set(known.values()))
        elsewhere = int((~train & ~test).sum()) if split else 0
        self.notes = (
            *_note(len(lonely), f".pts files have no image beside them: {some(lonely)}"),
            *_note(int((~annotated).sum()), "images have no .pts file beside them"),
            *_note(elsewhere, "images are outside of 300-W's folders, and in no part"),
            *near_note(points, self.point_names, self.normalising_pair),
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
    """Read the points of a ``.pts`` file, as they stand there.

    Raises:
        ValueError: If it is malformed. The text says where, and what is wrong.
    """
    try:
        lines = [(number, line.split()) for number, line in enumerate(read_lines(path), start=1)]
    except LmkitError as error:
        raise ValueError(error.problem) from None
    lines = [(number, words) for number, words in lines if words]
    header = {words[0].rstrip(":"): (number, words[1:]) for number, words in lines[:2]}
    number, said = header.get("n_points", (1, []))
    count = announced(said[0]) if len(said) == 1 else None
    if not count:
        raise _malformed(number, "'n_points: P' should stand here, with the number of points")
    opening = next((place for place, (_, words) in enumerate(lines[:3]) if words == ["{"]), None)
    if opening is None:
        raise _malformed(number + 1, "'{' should stand here, before the points")
    points: Points = []
    for number, words in lines[opening + 1 :]:
        if words == ["}"]:
            break
        points.append(_point(number, words))
    else:
        raise _malformed(number, "the file ends without '}' after the points")
    if len(points) != count:
        raise _malformed(number, f"{count} points are announced, not {len(points)}")
    return points


def _point(line: int, words: list[str]) -> tuple[float, float]:
    try:
        x, y = map(coordinate, words)
    except ValueError:
        x = y = np.nan
    if np.isnan(x) or np.isnan(y):
        raise _malformed(line, f"'{shown(' '.join(words))[:60]}' is not the x and y of a point")
    return x, y


def _malformed(line: int, problem: str) -> ValueError:
    return ValueError(f"line {line}: {problem}")
