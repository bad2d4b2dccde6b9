"""What prediction writes: each file entry by entry, aside, and in its place when it is complete."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TextIO

from lmkit.prediction.stream import Detection
from lmkit.storage import clear_aside, flush, made, put_in_place, storage

Write = Callable[[Detection], None]
"""Takes what was found on an image."""

FIELDS: tuple[str, ...] = ()
"""The fields of [Landmarks][lmkit.api.Landmarks] that are written, beside the points."""

NAMED = 10
"""How many of the images that were left out are kept in memory."""


@contextmanager
def landmarks_file(path: Path, form: str, count: int) -> Iterator[Write]:
    """Write a file of landmarks, which appears when it is complete; until then, an old one stays.

    Args:
        path: The file.
        form: ``csv`` or ``json``.
        count: The number K of landmarks.

    Yields:
        What takes each image's landmarks; it keeps none of them.

    Raises:
        LmkitError: If the file cannot be written.
    """
    start = _csv if form == "csv" else _json
    with _aside(path) as file:
        write, end = start(file, count)
        yield write
        file.write(end)


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


def _csv(file: TextIO, count: int) -> tuple[Write, str]:
    table = csv.writer(file)
    axes = [f"{axis}{k}" for k in range(count) for axis in "xy"]
    table.writerow(["file", "width", "height", *axes])

    def write(image: Detection) -> None:
        points = image.landmarks.points.flatten().tolist()
        size = image.size or ("", "")
        table.writerow([image.name, *size, *(f"{value:.3f}" for value in points)])

    return write, ""


def _json(file: TextIO, count: int) -> tuple[Write, str]:
    before = "[\n"

    def write(image: Detection) -> None:
        nonlocal before
        points = image.landmarks.points[0].tolist()
        rounded = [[round(value, 3) for value in point] for point in points]
        width, height = image.size or (None, None)
        entry = {"file": image.name, "width": width, "height": height, "points": rounded}
        file.write(before + json.dumps(entry))
        before = ",\n"

    return write, "\n]\n"
