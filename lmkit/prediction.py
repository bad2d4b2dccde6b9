"""Landmarks of plain picture files: read, predicted, written and drawn in one pass.

Pictures are read and dropped a batch at a time, so that a folder of any size fits.
"""

import csv
import json
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


def find_pictures(paths: Sequence[Path]) -> dict[str, Path]:
    """Return every picture of files and folders, by a name that tells them apart.

    Args:
        paths: Files, or folders that are searched with all below them.

    Raises:
        LmkitError: If a path does not exist, or a folder has no picture.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            folder = Folder(path=path)
            keys = [folder.key(index) for index in range(len(folder))]
            # One folder alone is named from within; of several, each keeps its name.
            prefix = "" if len(paths) == 1 else f"{path.name}/"
            pairs = [(prefix + key, path / key) for key in keys]
        elif path.exists():
            pairs = [(path.name, path)]
        else:
            raise LmkitError(
                f"{path} does not exist.",
                remedy="Give picture files, or folders of them.",
                code=ExitCode.DATA,
            )
        for name, file in pairs:
            found[name if found.get(name, file) == file else file.as_posix()] = file
    return found


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
    names: list[str] = []

    def readable() -> Iterator[NDArray[np.uint8]]:
        for name, path in pictures.items():
            try:
                image = load_image(path)
            except OSError as error:
                result.unreadable[name] = str(error)
                continue
            names.append(name)
            yield image

    opened = run.detector  # before anything is written: a damaged run must leave nothing behind
    count = opened.landmarks
    with storage(out):
        out.mkdir(parents=True, exist_ok=True)
        with (
            result.landmarks.open("w", encoding="utf-8", newline="") as file,
            _writer(file, form, count) as write,
        ):
            for image, points in run.predict_each(readable(), batch_size):
                name = names[result.pictures]
                write(name, image, points)
                if overlays:
                    _draw(out / "overlays", name, image, points)
                result.pictures += 1
                progress(result.pictures + len(result.unreadable), len(pictures))
    if result.pictures == 0:
        name, reason = next(iter(result.unreadable.items()))
        raise LmkitError(
            f"None of {len(pictures)} pictures can be read; the first is {name}: {reason}",
            remedy="Give pictures such as .jpg or .png files.",
            code=ExitCode.DATA,
        )
    return result


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
    # A name may be an absolute path; below the folder it goes without its root.
    path = folder / Path(name).relative_to(Path(name).anchor)
    path = path.with_name(path.name + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_points(image, points)).save(path)
