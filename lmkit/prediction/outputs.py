"""What prediction writes: each file entry by entry, aside, and in its place when it is complete."""

import csv
import json
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

from lmkit.points.map import PointsMap
from lmkit.points.names import error_columns, point_columns
from lmkit.prediction.formats import FORMATS, End
from lmkit.prediction.named import name_points
from lmkit.prediction.stream import Detection
from lmkit.storage import clear_aside, flush, made, put_in_place, storage

Write = Callable[[Detection], None]
"""Takes what was found on an image."""

FIELDS: tuple[str, ...] = ()
"""The fields of [Landmarks][lmkit.api.Landmarks] that are written, beside the points."""

CERTAINTY = ("confidence", "covariance")
"""Those that are written as well where they are asked for, and the detector has them."""

_COVARIANCE = {"cov_xx": (0, 0), "cov_xy": (0, 1), "cov_yy": (1, 1)}
"""The columns of a covariance, before the landmark's number, and which of its entries they are."""

SUFFIXES = {"csv": "csv", "json": "json", "coco": "coco.json", "dlc": "dlc.csv"}
"""What the name of a file ends in, by its form."""

NAMED = 10
"""How many of the images that were left out are kept in memory."""


@contextmanager
def landmarks_file(
    path: Path, form: str, count: int, also: Collection[str] = (), least: float = 0.0
) -> Iterator[Write]:
    """Write a file of landmarks, which appears when it is complete; until then, an old one stays.

    Args:
        path: The file.
        form: One of [SUFFIXES][lmkit.prediction.outputs.SUFFIXES].
        count: The number K of landmarks.
        also: Which of [CERTAINTY][lmkit.prediction.outputs.CERTAINTY] is written.
        least: Points whose confidence is below this are left out, their cells empty.

    Yields:
        What takes each image's landmarks; it keeps none of them.

    Raises:
        LmkitError: If the file cannot be written.
    """
    start = {"csv": _csv, "json": _json}.get(form) or _of_format(form)
    with _aside(path) as file:
        write, end = start(file, count, also)
        yield lambda image: write(above(image, least) if least else image)
        file.writelines([end] if isinstance(end, str) else end())


@contextmanager
def points_file(path: Path, form: str, points: PointsMap) -> Iterator[Write]:
    """Write a file of named points, as [landmarks_file][lmkit.prediction.outputs.landmarks_file].

    Args:
        path: The file.
        form: One of [SUFFIXES][lmkit.prediction.outputs.SUFFIXES].
        points: Turns landmarks into named points.

    Yields:
        What takes each image's landmarks.

    Raises:
        LmkitError: If the file cannot be written.
    """
    start = {"csv": _csv_of_points, "json": _json_of_points}.get(form) or _points_of_format(form)
    with _aside(path) as file:
        write, end = start(file, points)
        yield write
        file.writelines([end] if isinstance(end, str) else end())


def above(image: Detection, least: float) -> Detection:
    """Return what was found on an image, with NaN for points whose confidence is too low.

    Args:
        image: What was found, with confidence.
        least: The lowest confidence that is enough.
    """
    confidence = image.found.confidence
    assert confidence is not None
    # Not below, so that a confidence that is no number is too low.
    points = image.found.points.masked_fill(~(confidence >= least)[..., None], math.nan)
    return replace(image, found=replace(image.found, points=points))


class LeftOut:
    """The images that were left out, and why: all in a file, the first few in memory as well.

    After a ``with`` block that ended well, the file is there if any image was left out, and none
    of an earlier call is.

    Args:
        path: The file, a table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.first: dict[str, str] = {}
        self._aside = _name_aside(path)
        self._file: TextIO | None = None

    def __enter__(self) -> "LeftOut":
        return self

    def add(self, name: str, reason: str) -> None:
        """Note an image.

        Raises:
            LmkitError: If the file cannot be written.
        """
        with storage(self.path):
            if self._file is None:
                self._file = _open(self._aside)
                csv.writer(self._file).writerow(["file", "reason"])
            csv.writer(self._file).writerow([name, reason])
        self.count += 1
        if len(self.first) < NAMED:
            self.first[name] = reason

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or remove it if the block failed."""
        with storage(self.path):
            if self._file is None:
                if kind is None:
                    self.path.unlink(missing_ok=True)
                return
            with self._file as file:
                if kind is None:
                    flush(file)
            if kind is None:
                put_in_place(self._aside, self.path)
            else:
                self._aside.unlink(missing_ok=True)


@contextmanager
def _aside(path: Path) -> Iterator[TextIO]:
    """Write a file under another name, and rename it once it is complete."""
    aside = _name_aside(path)
    with made(path.parent), storage(path.parent):
        try:
            with _open(aside) as file:
                yield file
                flush(file)
            put_in_place(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def _name_aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _open(path: Path) -> TextIO:
    clear_aside(path)
    # A file's name may be any bytes, and is written as it is.
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _csv(file: TextIO, count: int, also: Collection[str]) -> tuple[Write, str]:
    table = csv.writer(file)
    axes = [f"{axis}{k}" for k in range(count) for axis in "xy"]
    sure = [f"confidence{k}" for k in range(count) if "confidence" in also]
    spread = [f"{name}{k}" for k in range(count) for name in _COVARIANCE if "covariance" in also]
    table.writerow(["file", "width", "height", *axes, *sure, *spread])

    def write(image: Detection) -> None:
        found = image.landmarks
        size = image.size or ("", "")
        cells = [_cell(value) for value in found.points.flatten().tolist()]
        if sure and found.confidence is not None:
            cells += [f"{value:.4f}" for value in found.confidence.flatten().tolist()]
        if spread and found.covariance is not None:
            for own in found.covariance[0].tolist():
                cells += [f"{own[row][column]:.4f}" for row, column in _COVARIANCE.values()]
        table.writerow([image.name, *size, *cells])

    return write, ""


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _json(file: TextIO, count: int, also: Collection[str]) -> tuple[Write, str]:
    before = "[\n"

    def write(image: Detection) -> None:
        nonlocal before
        found = image.landmarks
        rounded = [
            None if any(map(math.isnan, point)) else [round(value, 3) for value in point]
            for point in found.points[0].tolist()
        ]
        width, height = image.size or (None, None)
        entry = {"file": image.name, "width": width, "height": height, "points": rounded}
        if "confidence" in also and found.confidence is not None:
            entry["confidence"] = [round(value, 4) for value in found.confidence[0].tolist()]
        if "covariance" in also and found.covariance is not None:
            entry["covariance"] = [
                [[round(value, 4) for value in row] for row in own]
                for own in found.covariance[0].tolist()
            ]
        file.write(before + json.dumps(entry))
        before = ",\n"

    return write, "\n]\n"


def _of_format(form: str) -> Callable[[TextIO, int, Collection[str]], tuple[Write, End]]:
    def start(file: TextIO, count: int, also: Collection[str]) -> tuple[Write, End]:
        names = [f"landmark{k}" for k in range(count)]
        entry, end = FORMATS[form](file, names, "confidence" in also)

        def write(image: Detection) -> None:
            found = image.landmarks
            sure = None if found.confidence is None else found.confidence[0].tolist()
            entry(image.name, image.size, found.points[0].tolist(), sure)

        return write, end

    return start


def _points_of_format(form: str) -> Callable[[TextIO, PointsMap], tuple[Write, End]]:
    def start(file: TextIO, points: PointsMap) -> tuple[Write, End]:
        entry, end = FORMATS[form](file, points.names, False)

        def write(image: Detection) -> None:
            entry(image.name, image.size, name_points(points, image).points.tolist(), None)

        return write, end

    return start


def _csv_of_points(file: TextIO, points: PointsMap) -> tuple[Write, str]:
    table = csv.writer(file)
    columns = [*point_columns(points.names), *error_columns(points.names)]
    table.writerow(["file", "width", "height", *columns])

    def write(image: Detection) -> None:
        named = name_points(points, image)
        values = [*named.points.flatten().tolist(), *named.standard_error.flatten().tolist()]
        table.writerow([image.name, *(image.size or ("", "")), *map(_cell, values)])

    return write, ""


def _json_of_points(file: TextIO, points: PointsMap) -> tuple[Write, str]:
    before = "[\n"

    def by_name(values: list[list[float]]) -> dict[str, list[float | None]]:
        rounded = [[None if math.isnan(v) else round(v, 3) for v in pair] for pair in values]
        return dict(zip(points.names, rounded, strict=True))

    def write(image: Detection) -> None:
        nonlocal before
        named = name_points(points, image)
        width, height = image.size or (None, None)
        entry = {
            "file": image.name,
            "width": width,
            "height": height,
            "points": by_name(named.points.tolist()),
            "standard_error": by_name(named.standard_error.tolist()),
        }
        file.write(before + json.dumps(entry))
        before = ",\n"

    return write, "\n]\n"
