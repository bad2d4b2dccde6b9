"""Landmarks of plain image files in one pass: read, predicted, written and drawn.

Images are read and drawn by other processes, while this one computes and writes. Nothing is kept
of an image that is done, and whole images stay with the process that reads them: a folder of any
number and size fits.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lmkit.data.framing import Framer, Framing
from lmkit.data.image_files import load_image
from lmkit.data.workers import read_ahead, workers_for
from lmkit.drawing.points import draw_points
from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction.outputs import Skipped, landmarks_file
from lmkit.run.run import Run
from lmkit.storage import storage

OVERLAYS = "overlays"
"""The folder of drawings within the output."""

UNREADABLE = "unreadable.csv"
"""The table of images that were left out, within the output."""

_DRAWN_TOGETHER = 8  # images: few, so that a few dozen already keep several processes busy


@dataclass(slots=True)
class Result:
    """What [predict_files][lmkit.prediction.predict.predict_files] wrote.

    Args:
        landmarks: The file of landmarks.
        images: How many images are in it.
        unreadable: How many were left out.
        reasons: The first of those, and why.
        unreadable_file: The table of all of them; none if all could be read.
    """

    landmarks: Path
    images: int = 0
    unreadable: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    unreadable_file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        table = None if self.unreadable_file is None else str(self.unreadable_file)
        return {
            "landmarks": str(self.landmarks),
            "images": self.images,
            "unreadable": self.unreadable,
            "reasons": self.reasons,
            "unreadable_file": table,
        }


def predict_files(
    run: Run,
    images: Sequence[tuple[str, Path]],
    out: Path,
    *,
    form: str = "csv",
    overlays: bool = True,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Write the landmarks of image files, and draw them.

    The file of landmarks appears when it is complete; until then, one of an earlier call stays.
    What is found does not depend on the batches, the processes or the other images, but for
    rounding.

    Args:
        run: Whose detector.
        images: Names and files.
        out: The folder to write to.
        form: ``csv`` or ``json``.
        overlays: Whether to draw them.
        batch_size: Images at a time.
        workers: The number of processes that read, and of as many that draw. By default, reading is
            as in training, and drawing is done by a process for each core, up to 8.
        progress: Called with the number of images done, and of all.

    Raises:
        LmkitError: If no image can be read, or ``out`` cannot be written.
    """
    result = Result(out / f"landmarks.{form}")
    count = run.detector.landmarks  # before anything is written: the run may be damaged
    readers, drawers = _processes(run, workers, len(images), batch_size)
    stretches = [
        range(start, min(start + batch_size, len(images)))
        for start in range(0, len(images), batch_size)
    ]
    read = _Reader(images, run.framer.without_annotation())
    done = 0

    with (
        landmarks_file(result.landmarks, form, count) as write,
        Skipped(out / UNREADABLE) as skipped,
    ):

        def find() -> Iterator[_Found]:
            nonlocal done
            for batch in read_ahead(read, stretches, readers, run.device.type == "cuda"):
                for index, reason in batch.problems:
                    skipped.add(images[index][0], reason)
                done += len(batch.problems)
                found = batch.locate(run)
                for index, size, points in zip(
                    found.indices, batch.sizes, found.points, strict=True
                ):
                    write(images[index][0], size, points)
                result.images += len(found.indices)
                yield found

        if overlays:
            draw = _Drawer(images, out / OVERLAYS)
            drawn = read_ahead(draw, _in_pieces(find()), drawers)
        else:
            drawn = (_Drawn(len(found.indices), []) for found in find())
        for piece in drawn:
            for index, reason in piece.problems:
                skipped.add(images[index][0], reason)
            done += piece.count
            progress(done, len(images))
        if result.images == 0:
            raise _none_readable(skipped)
    result.unreadable, result.reasons = skipped.count, skipped.first
    result.unreadable_file = skipped.path if skipped.count else None
    return result


def _processes(run: Run, workers: int | None, images: int, batch_size: int) -> tuple[int, int]:
    """Return how many processes read, and how many draw."""
    if workers is not None:
        return workers, workers
    readers = workers_for(run.settings.loading.workers, run.device)
    cores = os.cpu_count() or 1
    # A process takes longer to start than a handful of images takes.
    return (
        readers if images > 2 * batch_size else 0,
        min(8, cores) if cores > 1 and images > 2 * _DRAWN_TOGETHER else 0,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found on some images."""

    indices: list[int]
    points: NDArray[np.float32]
    """(N, K, 2), in pixels of each image."""


@dataclass(frozen=True, slots=True)
class _Read:
    """Images that were read and framed; of the whole ones, their sizes alone."""

    images: Tensor
    """(B, 3, S, S), uint8."""
    indices: list[int]
    sizes: list[tuple[int, int]]
    """Width and height of each."""
    framings: list[Framing]
    problems: list[tuple[int, str]]
    """Those that cannot be read, and why."""

    def pin_memory(self) -> "_Read":
        """Return the same with the images where the GPU fetches them from."""
        return replace(self, images=self.images.pin_memory()) if self.indices else self

    def locate(self, run: Run) -> _Found:
        """Find their landmarks."""
        if not self.indices:
            return _Found([], np.empty((0, 0, 2), np.float32))
        points = run.detect(self.images).points.numpy()
        own = [framing.to_pixels(each) for framing, each in zip(self.framings, points, strict=True)]
        return _Found(self.indices, np.stack(own).astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a stretch of the images; lives in the worker processes."""

    images: Sequence[tuple[str, Path]]
    framer: Framer

    def __call__(self, stretch: range) -> _Read:
        squares: list[NDArray[np.uint8]] = []
        read = _Read(torch.empty(0, dtype=torch.uint8), [], [], [], [])
        for index in stretch:
            try:
                image = load_image(self.images[index][1])
                square, framing = self.framer(image)
            except OSError as error:
                read.problems.append((index, str(error)))
                continue
            squares.append(square)
            read.indices.append(index)
            read.sizes.append((image.shape[1], image.shape[0]))
            read.framings.append(framing)
        if not squares:
            return read
        stacked = np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2))
        return replace(read, images=torch.from_numpy(stacked))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Images whose landmarks were drawn."""

    count: int
    problems: list[tuple[int, str]]
    """Those of them that could not be drawn after all, and why."""


@dataclass(frozen=True, slots=True)
class _Drawer:
    """Draws what was found; lives in the worker processes.

    An image is read again here: that takes a fraction of what writing the drawing takes, and less
    memory than keeping a batch of large images, or sending them to another process.
    """

    images: Sequence[tuple[str, Path]]
    folder: Path

    def __call__(self, found: _Found) -> _Drawn:
        problems = []
        for index, points in zip(found.indices, found.points, strict=True):
            name, file = self.images[index]
            try:
                image = load_image(file)
            except OSError as error:
                problems.append((index, f"it is not drawn, since it cannot be read again: {error}"))
                continue
            _draw(self.folder, name, image, points)
        return _Drawn(len(found.indices), problems)


def _in_pieces(batches: Iterable[_Found]) -> Iterator[_Found]:
    for found in batches:
        for start in range(0, len(found.indices), _DRAWN_TOGETHER):
            piece = slice(start, start + _DRAWN_TOGETHER)
            yield _Found(found.indices[piece], found.points[piece])


def _draw(folder: Path, name: str, image: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    # A name may be an absolute path; whatever it is, the drawing stays below the folder.
    anchor = Path(name).anchor
    path = folder.joinpath(*(part for part in Path(name).parts if part not in (anchor, "..")))
    path = path.with_name(path.name + ".png")
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The best compression takes three times as long, for a sixth less.
        Image.fromarray(draw_points(image, points)).save(path, compress_level=1)


def _none_readable(skipped: Skipped) -> LmkitError:
    if not skipped.count:
        problem = "No image was given."
    else:
        name, reason = next(iter(skipped.first.items()))
        problem = f"{name} cannot be read: {reason}."
        if skipped.count > 1:
            problem = f"None of {skipped.count} images can be read; the first is {name}: {reason}."
    return LmkitError(problem, remedy="Give images such as .jpg or .png files.", code=ExitCode.DATA)
