"""Landmarks of plain picture files: read, predicted, written and drawn in one pass.

Pictures are read and dropped a batch at a time, so that a folder of any size fits.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmkit.data.folder import Folder
from lmkit.data.pictures import load_image
from lmkit.drawing import draw_points
from lmkit.engine.folder import storage
from lmkit.errors import ExitCode, LmkitError
from lmkit.run import Run

OVERLAYS = "overlays"
"""The folder of drawings within the output."""


@dataclass(slots=True)
class Result:
    """What [predict_files][lmkit.prediction.predict_files] wrote.

    Args:
        landmarks: The file of landmarks.
        pictures: How many pictures are in it.
        unreadable: Names and reasons of pictures that were skipped.
    """

    landmarks: Path
    pictures: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "landmarks": str(self.landmarks),
            "pictures": self.pictures,
            "unreadable": self.unreadable,
        }


def find_pictures(paths: Sequence[Path], *, without: Path | None = None) -> dict[str, Path]:
    """Return every picture of files and folders once, by a name that tells them apart.

    A file goes by its name, a folder's by their paths within; of several paths, a folder's names
    start with its own. Where that is taken, a picture goes by its absolute path.

    Args:
        paths: Files, or folders that are searched with all below them.
        without: A folder whose pictures are left out where they lie in one that is searched: the
            drawings of an earlier call.

    Raises:
        LmkitError: If a path does not exist, or a folder has no picture.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    drawings = None if without is None else without.resolve()
    for path in paths:
        for name, file in _named(path, alone=len(paths) == 1):
            drawn = drawings is not None and file != path.resolve() and drawings in file.parents
            if file not in seen and not drawn:
                seen.add(file)
                found[file.as_posix() if name in found else name] = file
    return found


def _named(path: Path, *, alone: bool) -> Iterator[tuple[str, Path]]:
    """Yield the pictures of a file or folder, by names that may still clash."""
    real = path.resolve()
    if path.is_dir():
        folder = Folder(path=path)
        # The real name, since "." and ".." have none of their own.
        prefix = "" if alone else f"{real.name}/"
        for index in range(len(folder)):
            key = folder.key(index)
            yield prefix + key, real / key
    elif path.exists():
        yield path.name, real
    else:
        raise LmkitError(
            f"{path} does not exist.",
            remedy="Give picture files, or folders of them.",
            code=ExitCode.DATA,
        )


def predict_files(
    run: Run,
    pictures: dict[str, Path],
    out: Path,
    *,
    form: str = "csv",
    overlays: bool = True,
    batch_size: int = 32,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Write the landmarks of picture files, and draw them.

    The file of landmarks appears when it is complete; until then, one of an earlier call stays.

    Args:
        run: Whose detector.
        pictures: Files by name.
        out: The folder to write to.
        form: ``csv`` or ``json``.
        overlays: Whether to draw them.
        batch_size: Pictures at a time.
        progress: Called with the number of pictures done, and of all.

    Raises:
        LmkitError: If no picture can be read, or ``out`` cannot be written.
    """
    result = Result(out / f"landmarks.{form}")
    names: deque[str] = deque()

    def readable() -> Iterator[NDArray[np.uint8]]:
        for name, path in pictures.items():
            try:
                image = load_image(path)
            except OSError as error:
                result.unreadable[name] = str(error)
                continue
            names.append(name)
            yield image

    count = run.detector.landmarks  # before anything is written: the run may be damaged
    with _aside(result.landmarks) as file, _writer(file, form, count) as write:
        for image, points in run.predict_each(readable(), batch_size):
            name = names.popleft()
            write(name, image, points)
            if overlays:
                _draw(out / OVERLAYS, name, image, points)
            result.pictures += 1
            progress(result.pictures + len(result.unreadable), len(pictures))
        if result.pictures == 0:
            raise _none_readable(result.unreadable)
    return result


def _none_readable(unreadable: dict[str, str]) -> LmkitError:
    if not unreadable:
        problem = "No picture was given."
    elif len(unreadable) == 1:
        problem = "{} cannot be read: {}.".format(*next(iter(unreadable.items())))
    else:
        name, reason = next(iter(unreadable.items()))
        problem = f"None of {len(unreadable)} pictures can be read; the first is {name}: {reason}."
    return LmkitError(
        problem, remedy="Give pictures such as .jpg or .png files.", code=ExitCode.DATA
    )


@contextmanager
def _aside(path: Path) -> Iterator[TextIO]:
    """Write a file under another name, and rename it once it is complete."""
    aside = path.with_name(f".{path.name}.partial")
    with storage(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                yield file
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


Write = Callable[[str, NDArray[np.uint8], NDArray[np.float32]], None]


@contextmanager
def _writer(file: TextIO, form: str, count: int) -> Iterator[Write]:
    """Write one entry a picture, as it comes."""
    if form == "csv":
        table = csv.writer(file)
        axes = [f"{axis}{k}" for k in range(count) for axis in "xy"]
        table.writerow(["file", "width", "height", *axes])

        def write_row(name: str, image: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
            height, width = image.shape[:2]
            table.writerow([name, width, height, *(f"{value:.3f}" for value in points.flat)])

        yield write_row
        return
    file.write("[")
    separator = "\n"

    def write_entry(name: str, image: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
        nonlocal separator
        height, width = image.shape[:2]
        rounded = [[round(float(value), 3) for value in point] for point in points]
        entry = {"file": name, "width": width, "height": height, "points": rounded}
        file.write(separator + json.dumps(entry))
        separator = ",\n"

    yield write_entry
    file.write("\n]\n")


def _draw(folder: Path, name: str, image: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    # A name may be an absolute path; whatever it is, the drawing stays below the folder.
    anchor = Path(name).anchor
    path = folder.joinpath(*(part for part in Path(name).parts if part not in (anchor, "..")))
    path = path.with_name(path.name + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_points(image, points)).save(path)
