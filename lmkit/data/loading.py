"""Reads images in batches: for training in an order that is a function of (seed, step) alone.

A batch of training does not depend on which were read before, on the number of worker processes or
on any global state, so that a resumed run sees exactly the images it would have seen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmkit.data.cache.cached import CachedDataset
from lmkit.data.framing import Framer, Framing
from lmkit.data.split import Partners, number_subjects
from lmkit.data.unreadable import Unreadable
from lmkit.data.workers import read_ahead
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.seeds import derive


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one step: those that one process has read, or all that train together.

    Args:
        images: (B, 3, S, S), RGB, uint8; on the device where the images are kept there.
        subjects: (B,) int64, equal where the subject is; on the CPU. None if no subject is known.
        points: (B, P, 2), the annotated points in [-1, 1] of the squares, float32; NaN where not
            known. None unless asked for.
        indices: The B images' numbers; empty where nobody asks for them.
        unreadable: Images of this step that could not be read, and why; others stand in.
        partners: (B, 3, S, S), for each image another one of its subject, or the image itself
            where there is no other; None unless asked for.
        partner_points: (B, P, 2), as ``points``, those of the partners.
        partner_indices: The B partners' numbers; empty without partners.
    """

    images: Tensor
    subjects: Tensor | None = None
    points: Tensor | None = None
    indices: Sequence[int] = ()
    unreadable: Mapping[int, str] = field(default_factory=dict)
    partners: Tensor | None = None
    partner_points: Tensor | None = None
    partner_indices: Sequence[int] = ()

    def pin_memory(self) -> "Batch":
        """Return the batch with its images and points where the GPU fetches them from."""
        return self.each(lambda own: own.pin_memory() if own.device.type == "cpu" else own)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its images and points on a device."""
        return self.each(lambda own: own.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with something done to its images and points, where it has them."""
        names = ("images", "points", "partners", "partner_points")
        own = {name: getattr(self, name) for name in names}
        changed: dict[str, Any] = {k: change(v) for k, v in own.items() if v is not None}
        return replace(self, **changed)


class TrainingBatches:
    """The batches of a stretch of steps.

    Each epoch is a permutation of the images, drawn from (seed, epoch) alone; what is left at its
    end, too few for a batch, is dropped. An unreadable image is replaced by the next readable one
    that the same epoch's order has after this step.

    Args:
        dataset: The data.
        indices: The images to train on.
        framer: How images become squares.
        batch_size: The number of images a process and step.
        seed: The run's seed.
        start: The first step, counted from 0.
        stop: The step before which to stop.
        rank: This process among those that train together.
        world: The number of processes that train together.
        workers: The number of processes that read; none are started for data held in memory.
        annotated: Whether batches carry annotated points; unless they do, none is looked at.
        partners: Whose other images batches carry beside each image; None if not given. Which
            one is drawn from (seed, step, place in the batch of all processes) alone; where it
            cannot be read, the next one of the subject is taken.
        pin_memory: Whether to put images where the GPU fetches them from.

    Raises:
        LmkitError: If there are fewer images than one step takes, or points are asked for and
            the data has none; while iterating, if no image can be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Sequence[int],
        *,
        framer: Framer,
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        annotated: bool = False,
        partners: Partners | None = None,
        pin_memory: bool = False,
    ) -> None:
        if len(indices) < batch_size * world:
            processes = f" on each of {world} processes" if world > 1 else ""
            raise LmkitError(
                f"There are {len(indices)} images to train on, fewer than the {batch_size} of a "
                f"batch{processes}.",
                remedy="Give a smaller --batch-size, or more images.",
            )
        if annotated and not dataset.point_names:
            raise LmkitError(
                "A loss learns from annotated points, and the data has none.",
                remedy="Give data with points, such as --data faces, or losses without annotation.",
                code=ExitCode.DATA,
            )
        order = _Order(tuple(indices), batch_size, seed, rank, world)
        self._reader = _TrainingReader(dataset, order, framer, annotated, partners)
        self._steps = range(start, max(start, stop))
        self._workers = 0 if dataset.in_memory else workers
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self._steps)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batch of each step in turn."""
        return read_ahead(self._reader, self._steps, self._workers, self._pin_memory)


class Images(NamedTuple):
    """Some images that were read."""

    images: Tensor
    """(B, 3, S, S), RGB, uint8."""
    indices: list[int]
    """The B images' numbers."""
    framings: list[Framing]
    """How each of them was framed."""


def read_images(
    dataset: Dataset,
    indices: Sequence[int],
    *,
    framer: Framer,
    batch_size: int,
    workers: int = 0,
    unreadable: Unreadable,
) -> Iterator[Images]:
    """Read images in the order given, each once.

    Args:
        dataset: The data.
        indices: The images to read.
        framer: How images become squares.
        batch_size: The most images at a time.
        workers: The number of processes that read; none are started for data held in memory.
        unreadable: Told of each image that cannot be read; it is left out.
    """
    starts = range(0, len(indices), batch_size)
    groups = [tuple(indices[start : start + batch_size]) for start in starts]
    reader = _Reader(dataset, framer)
    workers = 0 if dataset.in_memory else workers
    for found, problems in read_ahead(reader, groups, workers):
        for index, reason in problems.items():
            unreadable.add(dataset.key(index), reason)
        if found.indices:
            yield found


@dataclass(frozen=True)
class _Order:
    """Which images a step takes."""

    indices: tuple[int, ...]
    batch_size: int
    seed: int
    rank: int
    world: int

    def choose(self, step: int, slot: int) -> int:
        """Return the image of a slot of a step.

        Args:
            step: Counted from 0.
            slot: From 0 to B - 1 for this process's images. Those from ``batch_size * world`` on
                are the ones that stand in: the order's images after this step, round and round.
        """
        together = self.batch_size * self.world
        epoch, place = divmod(step, len(self.indices) // together)
        position = (place * together + self.place(slot)) % len(self.indices)
        return self.indices[int(_permutation(len(self.indices), self.seed, epoch)[position])]

    def place(self, slot: int) -> int:
        """Return where a slot is in the batch of all processes."""
        return self.rank * self.batch_size + slot


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order: NDArray[np.int64] = torch.randperm(count, generator=generator).numpy()
    return order


_Image = tuple[int, Tensor, Framing]
"""An image's number, the image as it was framed, and how."""


@dataclass(frozen=True)
class _TrainingReader:
    """Reads the batch of a step; lives in the worker processes."""

    dataset: Dataset
    order: _Order
    framer: Framer
    annotated: bool
    partners: Partners | None = None

    def __call__(self, step: int) -> Batch:
        size = self.order.batch_size
        problems: dict[int, str] = {}
        read = [self._readable(step, slot, problems) for slot in range(size)]
        indices, images, points = self._joined(read)
        numbers = number_subjects(self.dataset, indices)
        subjects = None if numbers is None else torch.from_numpy(numbers)
        batch = Batch(images, subjects, points, indices, problems)
        if self.partners is None:
            return batch
        others = [
            self._partner(self.partners, step, slot, own, problems) for slot, own in enumerate(read)
        ]
        indices, images, points = self._joined(others)
        return replace(batch, partners=images, partner_points=points, partner_indices=indices)

    def _joined(self, read: Sequence[_Image]) -> tuple[list[int], Tensor, Tensor | None]:
        """Return numbers, images, and annotated points if those are asked for."""
        indices = [index for index, _, _ in read]
        framings = [framing for _, _, framing in read]
        points = _points(self.dataset, indices, framings) if self.annotated else None
        return indices, _stack([image for _, image, _ in read]), points

    def _partner(
        self, partners: Partners, step: int, slot: int, own: _Image, problems: dict[int, str]
    ) -> _Image:
        """Read another image of the subject; where none can be read, give the image itself."""
        drawn = derive(self.order.seed, step, self.order.place(slot), "partner")
        for index in partners.of(own[0], drawn):
            if index in problems:
                continue
            try:
                return index, *read_framed(self.dataset, index, self.framer)
            except OSError as error:
                problems[index] = str(error)
        return own

    def _readable(self, step: int, slot: int, problems: dict[int, str]) -> _Image:
        beyond = self.order.batch_size * self.order.world
        for candidate in (slot, *range(slot + beyond, slot + beyond + len(self.order.indices))):
            index = self.order.choose(step, candidate)
            if index in problems:
                continue
            try:
                return index, *read_framed(self.dataset, index, self.framer)
            except OSError as error:
                problems[index] = str(error)
        some = next(iter(problems))
        raise LmkitError(
            f"None of the {len(self.order.indices)} images to train on can be read: "
            f"{self.dataset.key(some)} ({problems[some]}) and all others.",
            remedy="Check the files; lmkit predict reads a single image.",
            code=ExitCode.DATA,
        )


@dataclass(frozen=True)
class _Reader:
    """Reads the images of a group; lives in the worker processes."""

    dataset: Dataset
    framer: Framer

    def __call__(self, group: Sequence[int]) -> tuple[Images, dict[int, str]]:
        problems: dict[int, str] = {}
        indices, images, framings = [], [], []
        for index in group:
            try:
                image, framing = read_framed(self.dataset, index, self.framer)
            except OSError as error:
                problems[index] = str(error)
                continue
            indices.append(index)
            images.append(image)
            framings.append(framing)
        return Images(_stack(images, self.framer.size), indices, framings), problems


def read_framed(dataset: Dataset, index: int, framer: Framer) -> tuple[Tensor, Framing]:
    """Read and frame an image, (3, S, S), or take it from where it is kept so.

    Raises:
        OSError: If it cannot be read, or not be cropped by the framer's rule.
    """
    if isinstance(dataset, CachedDataset) and (kept := dataset.framed(index, framer)):
        return kept
    square, framing = framer(dataset.image(index), dataset.annotation(index))
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1))), framing


def _stack(images: Sequence[Tensor], size: int = 0) -> Tensor:
    """Join images (3, S, S) to (B, 3, S, S)."""
    if not images:
        return torch.empty((0, 3, size, size), dtype=torch.uint8)
    return torch.stack(list(images))


def _points(dataset: Dataset, indices: Sequence[int], framings: Sequence[Framing]) -> Tensor:
    """Return the annotated points in [-1, 1] of the squares, (B, P, 2), NaN where not known."""
    found = np.full((len(indices), len(dataset.point_names), 2), np.nan, np.float32)
    for own, index, framing in zip(found, indices, framings, strict=True):
        points = dataset.annotation(index).points
        if points is not None:
            own[:] = framing.to_normalised(points)
    return torch.from_numpy(found)
