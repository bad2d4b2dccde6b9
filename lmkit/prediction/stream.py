"""The one way from an image to its landmarks: read, framed, detected, and back in its own pixels.

Images are read and framed by other processes, while this one computes. Whole images stay with the
process that reads them, and nothing is kept of an image that is done: a source of any number of
images of any size fits.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lmkit.data.framing import Framer, Framing
from lmkit.data.workers import read_ahead, workers_for
from lmkit.geometry.soft_argmax import concentration, second_moments
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.prediction.sources import ImageSize, Source
from lmkit.runtime.blame import blame, expect
from lmkit.runtime.device import autocast_for, tuned
from lmkit.runtime.layout import layout_for

Refuse = Callable[[str, str], None]
"""Takes the name of an image that cannot be read, and why."""

Change = Callable[[Tensor, Sequence[str]], Tensor]
"""Takes squares (B, 3, S, S), uint8, and the names of their images; returns others like them."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A trained detector, and what it takes to use it.

    Args:
        detector: Made ready by [ready_to_detect][lmkit.prediction.stream.ready_to_detect].
        framer: How images become the squares that it sees.
        device: Where it is.
        precision: In which it runs, see ``run.precision``.
        name: What to call it in a message.
        workers: How many processes read images; None leaves it to the device.
    """

    detector: Detector
    framer: Framer
    device: torch.device
    precision: str = "auto"
    name: str = "detector"
    workers: int | None = None

    @property
    def readers(self) -> int:
        """How many processes read images, unless someone asks for another number."""
        return workers_for(self.workers, self.device)

    def detect(self, images: Tensor, only: Collection[str] | None = None) -> Landmarks:
        """Find the landmarks of images that are framed already.

        Args:
            images: (B, 3, S, S), uint8, anywhere.
            only: The fields that are wanted beside the points; all that the detector returns if
                not given. Confidence and covariance that are named are computed from its
                probability maps where it returns none.

        Returns:
            On the CPU; points in [-1, 1] of the squares.

        Raises:
            LmkitError: If the detector fails.
        """
        with blame(self.name, self.detector):
            autocast = autocast_for(self.device, self.precision)
            found = detect(self.detector, images, self.device, autocast)
        if only:
            found = with_certainty(found, only)
        others = {field.name: getattr(found, field.name) for field in fields(found)[1:]}
        kept = {
            name: value.cpu()
            for name, value in others.items()
            if value is not None and (only is None or name in only)
        }
        return Landmarks(found.points.cpu(), **kept)

    def offers(self, fields: Collection[str]) -> tuple[str, ...]:
        """Return which of some fields the detector has, or its probability maps tell.

        Raises:
            LmkitError: If the detector fails.
        """
        size = self.framer.size
        found = self.detect(torch.zeros(1, 3, size, size, dtype=torch.uint8), fields)
        return tuple(name for name in fields if getattr(found, name) is not None)


def with_certainty(found: Landmarks, wanted: Collection[str]) -> Landmarks:
    """Return landmarks with confidence and covariance, if wanted and told by probability maps.

    Args:
        found: What a detector returned, anywhere; what it says itself of either is kept.
        wanted: The fields that are wanted.
    """
    maps, points = found.probability_maps, found.points
    if maps is None:
        return found
    with torch.inference_mode():
        if "confidence" in wanted and found.confidence is None:
            found = replace(found, confidence=concentration(maps, points))
        if "covariance" in wanted and found.covariance is None:
            found = replace(found, covariance=second_moments(maps, points))
    return found


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found on one image.

    Args:
        name: The image's.
        size: Its width and height; None if the source does not know it.
        found: Its landmarks as the detector returned them, points in [-1, 1] of the square.
        framing: How the image became that square.
        item: What the source calls the image: its number in a dataset.
    """

    name: str
    size: ImageSize | None
    found: Landmarks
    framing: Framing
    item: Any

    @property
    def landmarks(self) -> Landmarks:
        """The same with the points (1, K, 2) in pixels of the image, float32.

        Covariance is in those pixels too. All other fields are as the detector returned them: maps
        are maps of the square.
        """
        pixels = self.framing.to_pixels(self.found.points.numpy()).astype(np.float32)
        moved = replace(self.found, points=torch.from_numpy(pixels))
        if self.found.covariance is None:
            return moved
        # How long one unit of the square's coordinates is in the image, along x and y.
        origin, unit = self.framing.to_pixels([[0, 0], [1, 1]])
        length = torch.from_numpy(unit - origin).float()
        return replace(moved, covariance=self.found.covariance * torch.outer(length, length))


def stream(
    predictor: Predictor,
    source: Source,
    *,
    unreadable: Refuse,
    batch_size: int = 32,
    workers: int | None = None,
    only: Collection[str] | None = None,
    change: Change | None = None,
) -> Iterator[Detection]:
    """Yield what is found on each image, in order.

    It does not depend on the batches, the processes or the other images, but for rounding.

    Args:
        predictor: The detector.
        source: The images.
        unreadable: Told of each image that cannot be read or cropped, before the images after it;
            it is left out.
        batch_size: Images at a time.
        workers: The number of processes that read; the predictor's own if not given. None are
            started for images held in memory.
        only: The fields of landmarks that are wanted beside the points; all if not given.
        change: Changes the squares before the detector sees them.

    Raises:
        LmkitError: If the detector fails.
    """
    readers = 0 if source.in_memory else predictor.readers if workers is None else workers
    count = source.count()
    if count is not None:
        readers = min(readers, -(-count // batch_size))
    batches = read_ahead(
        _Reader(source, predictor.framer),
        _batches(source, batch_size),
        readers,
        predictor.device.type == "cuda",
    )
    # Whoever stops midway, or breaks off, must not leave workers waiting.
    with closing(cast(Generator["_Read"], batches)):
        for batch in batches:
            for name, reason in batch.problems:
                unreadable(name, reason)
            if not batch.items:
                continue
            squares = batch.squares if change is None else change(batch.squares, batch.names)
            found = predictor.detect(squares, only)
            for row, item in enumerate(batch.items):
                own = found[row : row + 1]
                yield Detection(batch.names[row], batch.sizes[row], own, batch.framings[row], item)


def ready_to_detect(detector: Detector, device: torch.device) -> Detector:
    """Put a detector where it is to compute, in eval mode and the layout it is fastest in."""
    detector.to(device).to(memory_format=layout_for(device))
    return detector.eval()


def detect(
    detector: Detector,
    images: Tensor,
    device: torch.device,
    autocast: Callable[[], Any],
) -> Landmarks:
    """Find landmarks the fast way through a detector that does not learn.

    Args:
        detector: Made ready.
        images: (B, 3, S, S), uint8, anywhere.
        device: Where the detector is.
        autocast: Makes the context in which it runs.

    Returns:
        On the device; points in [-1, 1] of the squares, float32.
    """
    with torch.inference_mode(), tuned(device), autocast():
        pixels = images.to(device, non_blocking=True).float() / 255
        found: Landmarks = detector(pixels)
    expect(found, Landmarks, "lmkit.api.Landmarks")
    return replace(found, points=found.points.float())


def _batches(source: Source, size: int) -> Iterator[list[Any]]:
    items = iter(source)
    while batch := list(islice(items, size)):
        yield batch


@dataclass(frozen=True, slots=True)
class _Read:
    """Images that were read and framed; of the whole ones, their sizes alone."""

    squares: Tensor
    """(B, 3, S, S), uint8."""
    items: list[Any]
    names: list[str]
    sizes: list[ImageSize | None]
    framings: list[Framing]
    problems: list[tuple[str, str]]
    """The names of those that cannot be read, and why."""

    def pin_memory(self) -> "_Read":
        """Return the same with the squares where the GPU fetches them from."""
        return replace(self, squares=self.squares.pin_memory()) if self.items else self


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a batch; lives in the worker processes."""

    source: Source
    framer: Framer

    def __call__(self, items: Sequence[Any]) -> _Read:
        squares: list[Tensor] = []
        read = _Read(torch.empty(0, dtype=torch.uint8), [], [], [], [], [])
        for item in items:
            try:
                square, framing, size = self.source.framed(item, self.framer)
            except OSError as error:
                read.problems.append((self.source.name(item), str(error)))
                continue
            squares.append(square)
            read.items.append(item)
            read.names.append(self.source.name(item))
            read.sizes.append(size)
            read.framings.append(framing)
        return replace(read, squares=torch.stack(squares)) if squares else read
