"""The pairing: which reconstructions a step asks for, as data."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

View = Literal["original", "deformed", "auxiliary"]
"""The images of one step: two deformations of the loaded image (or the deformed one of another
image of its subject), and the image whose landmarks guide it."""

VIEWS: tuple[View, ...] = get_args(View)


class Route(NamedTuple):
    """One reconstruction: start from a view, pass through landmarks, and arrive at a view.

    Each hop redraws the image with the landmarks of the next stop; the end is compared with the
    real image of ``target``.
    """

    source: View
    via: tuple[View, ...]
    target: View

    @property
    def stops(self) -> tuple[View, ...]:
        """Every view on the way, the source first and the target last."""
        return (self.source, *self.via, self.target)

    def __str__(self) -> str:
        return " -> ".join(self.stops)


class Pairing(ABC):
    """Decides the routes, and who is whose auxiliary."""

    component_kind: ClassVar[str] = "pairing"
    """What an option of this type takes: a component of this kind."""

    @abstractmethod
    def routes(self) -> tuple[Route, ...]:
        """Return the routes of a step; the same ones at every step."""

    def auxiliary(
        self, batch: int, subjects: Tensor | None, generator: torch.Generator
    ) -> Tensor | None:
        """Choose for each image the image of the batch whose landmarks guide it.

        Args:
            batch: The number of images B.
            subjects: (B,) whole numbers that say who is on each image, or None if not known; on
                the CPU.
            generator: The only source of randomness, on the CPU.

        Returns:
            (B,) indices into the batch, or None if no route uses an auxiliary view.
        """
        if not self.uses_auxiliary:
            return None
        return derangement(batch, subjects, generator)

    @property
    def uses_auxiliary(self) -> bool:
        """Whether a route passes through the auxiliary view."""
        return any("auxiliary" in route.stops for route in self.routes())


def derangement(batch: int, subjects: Tensor | None, generator: torch.Generator) -> Tensor:
    """Draw a permutation that gives every image another one, of another subject where it can.

    The images are put in random order, the subjects' images side by side, and each is given the
    one a number of places further on: a random number, but at least the size of the largest group
    in either direction round the circle. With subjects not known this is a random cyclic
    permutation.

    Args:
        batch: The number of images B, at least 2.
        subjects: (B,) whole numbers, or None if not known; on the CPU.
        generator: The only source of randomness, on the CPU.

    Returns:
        (B,) int64: ``result[i]`` is the auxiliary of image i, never i itself, and of the same
        subject only as often as cannot be avoided.

    Raises:
        ValueError: If there are fewer than two images.
    """
    if batch < 2:
        raise ValueError(f"a batch of {batch} has no other image to serve as auxiliary")
    order = torch.randperm(batch, generator=generator)
    shift = 1
    if subjects is not None:
        _, group, counts = subjects.unique(return_inverse=True, return_counts=True)
        # The subjects, too, are put in random order, so that their numbers make no neighbours.
        group = torch.randperm(len(counts), generator=generator)[group]
        order = order[group[order].argsort(stable=True)]
        shift = _shift(batch, int(counts.max()), generator)
    result = torch.empty_like(order)
    result[order] = order.roll(-shift)
    return result


def _shift(batch: int, largest: int, generator: torch.Generator) -> int:
    """Draw how far to go round a circle of ``batch`` to leave any group of up to ``largest``."""
    if largest == batch:
        return 1  # All of one subject: nobody else is there, but still another image.
    if 2 * largest > batch:
        return largest  # Some cannot leave; this far, no more than have to stay.
    return int(torch.randint(largest, batch - largest + 1, (), generator=generator))
