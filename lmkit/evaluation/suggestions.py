"""Which images are most worth labelling, and the sheet to write the labels in.

A map from landmarks to named points is as good as the images that it is fitted to are different
from one another. Images are taken one by one: first the one whose landmarks are nearest to the
mean, then always the one whose landmarks are furthest from those of all taken before (the greedy
algorithm for k centres of Gonzalez 1985). Images whose landmarks are at fault are left out, since
those would be the furthest.
"""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.table_header import read_header
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.faults import find_faults
from lmkit.points.linear import Array
from lmkit.points.names import point_columns
from lmkit.prediction.sources import ImageFiles
from lmkit.prediction.stream import Predictor, Refuse, stream
from lmkit.storage import as_name, write_text


def suggest_images(
    predictor: Predictor,
    source: ImageFiles,
    number: int,
    *,
    unreadable: Refuse,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> list[tuple[str, Path]]:
    """Choose the images that are most worth labelling.

    Args:
        predictor: The detector.
        source: The images.
        number: How many.
        unreadable: Told of each image that cannot be read; it is left out.
        batch_size: Images at a time.
        workers: The number of processes that read; the predictor's own if not given.
        progress: Called with the number of images done, and of all.

    Returns:
        Names and files, the most useful first; fewer than ``number`` if there are fewer.

    Raises:
        LmkitError: If no image can be read, or the landmarks of all are at fault.
    """
    found: list[NDArray[np.float32]] = []
    items: list[tuple[str, Path]] = []
    options = {"batch_size": batch_size, "workers": workers, "only": ()}
    for each in stream(predictor, source, unreadable=unreadable, **options):  # type: ignore[arg-type]
        found.append(each.found.points[0].numpy())
        items.append(each.item)
        progress(len(items), source.count())
    if not items:
        raise LmkitError(
            "None of the images can be read.",
            remedy="Give images such as .jpg or .png files.",
            code=ExitCode.DATA,
        )
    landmarks = np.stack(found).astype(np.float64)
    sound = ~find_faults(landmarks).images
    if not sound.any():
        raise LmkitError(
            f"On all {len(items)} images half of the landmarks or more are at fault: they are "
            "where they are on other images, on one another, or at the border.",
            remedy="Labels cannot mend that: look at lmkit evaluate, and train longer or with "
            "another recipe.",
            code=ExitCode.RUN,
        )
    return [items[row] for row in spread_out(landmarks, number, sound)]


def spread_out(landmarks: Array, number: int, sound: NDArray[np.bool_]) -> list[int]:
    """Return images whose landmarks are far from one another's, by number.

    Args:
        landmarks: (N, K, 2).
        number: How many images; fewer if there are fewer that are sound and differ.
        sound: (N,), which may be taken.
    """
    rows = np.flatnonzero(sound)
    flat = landmarks[rows].reshape(len(rows), -1)
    # Of all images, the one nearest to the mean has the least sum of squared distances to others.
    chosen = [int(_squared(flat, flat.mean(axis=0)).argmin())]
    nearest = _squared(flat, flat[chosen[0]])
    while len(chosen) < number and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _squared(flat, flat[chosen[-1]]))
    return [int(rows[row]) for row in chosen]


def _squared(flat: Array, point: Array) -> Array:
    return np.asarray(((flat - point) ** 2).sum(axis=1))


def check_sheet(path: Path, names: Sequence[str]) -> None:
    """Refuse a labelling sheet that could not be written or not be read back.

    Args:
        path: Where it is to be.
        names: What its points are to be called.

    Raises:
        LmkitError: If there is one already, which may hold labels, or ``--data csv:`` would not
            take the names for those of points.
    """
    if path.exists():
        raise LmkitError(
            f"{path} exists, and may hold labels.",
            remedy="Give --out another name, or move it away.",
            code=ExitCode.STORAGE,
        )
    header = ["file", *point_columns(names)]
    try:
        read = [*read_header(path, [(1, header)]).points]
    except LmkitError as error:
        raise _not_names(names, error.problem) from None
    if read != [*names]:
        lost = next((name for name in names if name not in read), names[0])
        raise _not_names(names, f"'{lost}' would not be taken for the name of a point.")


def _not_names(names: Sequence[str], problem: str) -> LmkitError:
    return LmkitError(
        f"--names {','.join(names)} cannot head a table of points: {problem}",
        remedy="Give each point a name of its own, such as left_eye,right_eye,nose, or a number.",
    )


def write_sheet(path: Path, files: Sequence[Path], names: Sequence[str]) -> None:
    """Write a table with a row for each image and empty cells for its points.

    Files below the table's folder are named relative to it, others by their absolute path.

    Args:
        path: The table.
        files: The images.
        names: What the points are called.

    Raises:
        LmkitError: If it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = point_columns(names)
    table.writerow(["file", *columns])
    home = path.absolute().parent.resolve()
    for file in map(Path.resolve, files):
        name = file.relative_to(home) if file.is_relative_to(home) else file
        table.writerow([as_name(name.as_posix()), *("" for _ in columns)])
    write_text(path, text.getvalue())
