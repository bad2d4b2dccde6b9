"""Landmarks of any source of images in one pass: found, written and drawn.

Images are read and drawn by other processes, while this one computes and writes. Nothing is kept
of an image that is done, and whole images stay with the process that reads them: any number of any
size fits.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmkit.data.cores import usable_cores
from lmkit.data.workers import read_ahead
from lmkit.drawing.points import draw_points
from lmkit.errors import ExitCode, LmkitError
from lmkit.points.map import PointsMap
from lmkit.prediction.named import name_points
from lmkit.prediction.outputs import (
    CERTAINTY,
    FIELDS,
    SUFFIXES,
    LeftOut,
    Write,
    above,
    landmarks_file,
    points_file,
)
from lmkit.prediction.sources import Source
from lmkit.prediction.stream import Predictor, stream
from lmkit.storage import as_path, is_about_name, storage

OVERLAYS = "overlays"
"""The folder of drawings within the output."""

UNREADABLE = "unreadable.csv"
"""The table of images that were left out, within the output."""

_DRAWN_TOGETHER = 8  # images: few, so that a few dozen already keep several processes busy


@dataclass(slots=True)
class PredictionResult:
    """What [predict_images][lmkit.prediction.predict.predict_images] wrote.

    Args:
        landmarks: The file of landmarks.
        images: How many images are in it.
        unreadable: How many were left out.
        reasons: The first of those, and why.
        unreadable_file: The table of all of them; None if all could be read.
        points: The file of named points; None if none were asked for.
    """

    landmarks: Path
    images: int = 0
    unreadable: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    unreadable_file: Path | None = None
    points: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        table = None if self.unreadable_file is None else str(self.unreadable_file)
        return {
            "landmarks": str(self.landmarks),
            "points": None if self.points is None else str(self.points),
            "images": self.images,
            "unreadable": self.unreadable,
            "reasons": self.reasons,
            "unreadable_file": table,
        }


def predict_images(
    predictor: Predictor,
    source: Source,
    out: Path,
    *,
    form: str = "csv",
    overlays: bool = True,
    points: PointsMap | None = None,
    confidence: bool = False,
    min_confidence: float | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> PredictionResult:
    """Write the landmarks of images, and draw them.

    The file of landmarks appears when it is complete; until then, one of an earlier call stays.
    What is found does not depend on the batches, the processes or the other images, but for
    rounding.

    Args:
        predictor: The detector.
        source: The images.
        out: The folder to write to.
        form: One of [SUFFIXES][lmkit.prediction.outputs.SUFFIXES].
        overlays: Whether to draw them.
        points: Turns landmarks into named points, which are then written and drawn as well.
        confidence: Whether confidence and covariance are written and drawn too, where the detector
            has them.
        min_confidence: The same; and landmarks of a lower confidence are neither written nor drawn.
            Named points are made of all landmarks in any case.
        batch_size: Images at a time.
        workers: The number of processes that read, and of as many that draw. By default, reading is
            as in training, and drawing is done by a process for each core, up to 8.
        progress: Called with the number of images done, and of all, None if that is not known.

    Raises:
        LmkitError: If no image can be read, ``out`` cannot be written, or the detector tells no
            confidence that could be too low.
    """
    also = _certainty(predictor, confidence, min_confidence)
    least = min_confidence or 0.0
    result = PredictionResult(out / f"landmarks.{SUFFIXES[form]}")
    named_file: AbstractContextManager[Write | None] = nullcontext()
    if points is not None:
        result.points = out / f"points.{SUFFIXES[form]}"
        named_file = points_file(result.points, form, points)
    total = source.count()
    readers, drawers = _processes(predictor, source, workers, batch_size)
    done = 0

    with (
        landmarks_file(result.landmarks, form, predictor.detector.landmarks, also, least) as write,
        named_file as write_named,
        LeftOut(out / UNREADABLE) as skipped,
    ):

        def skip(name: str, reason: str) -> None:
            nonlocal done
            skipped.add(name, reason)
            done += 1
            # What this may raise must not pass through the processes that draw.
            if not (overlays and drawers):
                progress(done, total)

        def find() -> Iterator[_Found]:
            options: dict[str, Any] = {"batch_size": batch_size, "workers": readers}
            options["only"] = (*FIELDS, *also)
            for each in stream(predictor, source, unreadable=skip, **options):
                write(each)
                named = None
                if points is not None and write_named is not None:
                    write_named(each)
                    named = name_points(points, each).points
                result.images += 1
                found = (above(each, least) if least else each).landmarks
                spread = None if found.covariance is None else found.covariance[0].numpy()
                yield _Found(each.item, each.name, found.points[0].numpy(), named, spread)

        drawn: Iterable[_Drawn] = (_Drawn(1, []) for _ in find())
        if overlays:
            drawn = read_ahead(_Drawer(source, out / OVERLAYS), _in_pieces(find()), drawers)
        for piece in drawn:
            for name, reason in piece.problems:
                skipped.add(name, reason)
            done += piece.count
            progress(done, total)
        progress(done, total)
        if result.images == 0:
            raise _none_readable(skipped)
    result.unreadable, result.reasons = skipped.count, skipped.first
    result.unreadable_file = skipped.path if skipped.count else None
    return result


def _certainty(
    predictor: Predictor, confidence: bool, min_confidence: float | None
) -> tuple[str, ...]:
    """Return which fields tell how sure the detector is, if that is asked for."""
    if not confidence and min_confidence is None:
        return ()
    also = predictor.offers(CERTAINTY)
    if min_confidence is not None and "confidence" not in also:
        raise LmkitError(
            f"The {predictor.name} tells no confidence: it has no probability maps.",
            remedy="Leave out --min-confidence, or train a detector that has probability maps, "
            "such as hourglass.",
        )
    return also


def _processes(
    predictor: Predictor, source: Source, workers: int | None, batch_size: int
) -> tuple[int, int]:
    """Return how many processes read, and how many draw."""
    if workers is not None:
        return workers, workers
    images, cores = source.count(), usable_cores()
    # A process takes longer to start than a handful of images takes.
    return (
        predictor.readers if images is None or images > 2 * batch_size else 0,
        min(8, cores) if cores > 1 and (images is None or images > 2 * _DRAWN_TOGETHER) else 0,
    )


class _Found(NamedTuple):
    """What was found on an image."""

    item: Any
    name: str
    points: NDArray[np.float32]
    """(K, 2), in its pixels."""
    named: NDArray[np.float64] | None
    """(P, 2), the named points in its pixels, if there are any."""
    covariance: NDArray[np.float32] | None
    """(K, 2, 2), in square pixels, if it is to be drawn."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Images whose landmarks were drawn."""

    count: int
    problems: list[tuple[str, str]]
    """Those of them that could not be drawn after all, and why."""


@dataclass(frozen=True, slots=True)
class _Drawer:
    """Draws what was found; lives in the worker processes.

    An image is read again here: that takes a fraction of what writing the drawing takes, and less
    memory than keeping a batch of large images, or sending them to another process.
    """

    source: Source
    folder: Path

    def __call__(self, piece: list[_Found]) -> _Drawn:
        problems = []
        for item, name, points, named, covariance in piece:
            try:
                image = self.source.image(item)
            except OSError as error:
                problems.append((name, f"it is not drawn, since it cannot be read again: {error}"))
                continue
            try:
                _draw(overlay_path(self.folder, name), image, points, named, covariance)
            except LmkitError as error:
                cause = error.__cause__
                if not isinstance(cause, OSError) or not is_about_name(cause):
                    raise
                problems.append((name, f"it is not drawn: {cause.strerror}"))
        return _Drawn(len(piece), problems)


def _in_pieces(found: Iterator[_Found]) -> Iterator[list[_Found]]:
    while piece := list(islice(found, _DRAWN_TOGETHER)):
        yield piece


_UNSAFE = re.compile(r'[\x00-\x1f<>:"|?*\\]|[. ]$')
_LONGEST = 200  # bytes of a part of a path, of which a file system takes 255
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def overlay_path(folder: Path, name: str) -> Path:
    """Return where the drawing of an image belongs: below the folder, whatever its name is.

    A name that is a plain relative path in every file system stays as it is. In any other, what
    is not is replaced, and a digest of the name added: no two names share a drawing.

    Args:
        folder: That of the drawings.
        name: The image's: a path, or a dataset's key, which may be any text.
    """
    parts = name.split("/")
    safe = [_safe_part(part) for part in parts]
    # A folder must not have the name of another image's drawing.
    safe[:-1] = [f"{part}_" if part.lower().endswith(".png") else part for part in safe[:-1]]
    if safe != parts or "" in parts:
        digest = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        safe = [part for part in safe if part]
        safe = [*safe[:-1], f"{safe[-1]}-{digest}"] if safe else [digest]
    return folder.joinpath(*map(as_path, safe[:-1]), as_path(safe[-1] + ".png"))


def _safe_part(part: str) -> str:
    """Return a part of a name as every file system takes it; nothing if nothing is left of it."""
    if part in ("", ".", ".."):
        return ""
    part = _UNSAFE.sub("_", part)
    if len(part.encode("utf-8", "surrogateescape")) > _LONGEST:
        part = part[: _LONGEST // 4]  # A character takes up to four bytes.
    return f"_{part}" if _DEVICES.fullmatch(part) else part


def _draw(
    path: Path,
    image: NDArray[np.uint8],
    points: NDArray[np.float32],
    named: NDArray[np.float64] | None,
    covariance: NDArray[np.float32] | None,
) -> None:
    # Who asks for named points looks at those: the landmarks become crosses beneath them.
    if named is None:
        drawing = draw_points(image, points, covariance=covariance)
    else:
        drawing = draw_points(image, named, truth=points)
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The best compression takes three times as long, for a sixth less.
        Image.fromarray(drawing).save(path, compress_level=1)


def _none_readable(skipped: LeftOut) -> LmkitError:
    if not skipped.count:
        problem = "No image was given."
    else:
        name, reason = next(iter(skipped.first.items()))
        problem = f"{name} cannot be read: {reason}."
        if skipped.count > 1:
            problem = f"None of {skipped.count} images can be read; the first is {name}: {reason}."
    return LmkitError(problem, remedy="Give images such as .jpg or .png files.", code=ExitCode.DATA)
