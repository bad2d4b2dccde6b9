"""What a detector returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


class Extras(dict[str, Tensor]):
    """What else a detector or generator returns, by names of its own: edges, masks, attention.

    Every tensor begins with the images of the batch, (B, ...).
    """

    def pick(self, index: Tensor | slice) -> "Extras":
        """Return the same of some images."""
        return self.each(lambda value: value[index])

    def each(self, change: Callable[[Tensor], Tensor]) -> "Extras":
        """Return what a function makes of each tensor."""
        return Extras({name: change(value) for name, value in self.items()})

    def cpu(self) -> "Extras":
        """Return all of it on the CPU."""
        return self.each(lambda value: value.cpu())

    @staticmethod
    def cat(parts: "Sequence[Extras]") -> "Extras":
        """Join batches; what one of them lacks is left out."""
        names = [name for name in parts[0] if all(name in part for part in parts)]
        return Extras({name: torch.cat([part[name] for part in parts]) for name in names})


@dataclass(frozen=True)
class Landmarks:
    """The K landmarks of each image of a batch.

    Indexing with a tensor, a slice or a number's list picks images, in every field alike.

    Args:
        points: (B, K, 2), (x, y) in [-1, 1], float32.
        score_maps: (B, K, h, w) or None: what the points were read from.
        confidence: (B, K) in [0, 1] or None.
        descriptors: (B, K, D) or None: a vector describing what is at each point.
        features: (B, C, h, w) or None: a map describing the whole image, for losses and
            generators that read more than points.
        probability_maps: (B, K, h, w), float32, or None: how likely each landmark is in each cell;
            each map sums to 1, and the points are their means.
        images: (B, 3, H, W), RGB in [0, 1], or None: the images that they were found in; put
            here for generators that [need them][lmkit.api.Generator.needs_images].
        extras: Anything else by name, (B, ...) each, or None: for losses and generators that know
            this detector. Made an [Extras][lmkit.interfaces.landmarks.Extras].
        covariance: (B, K, 2, 2) or None: of the position under each probability map, x and y in
            [-1, 1]; put here where a prediction asks for it, so that a detector leaves it out.
    """

    points: Tensor
    score_maps: Tensor | None = None
    confidence: Tensor | None = None
    descriptors: Tensor | None = None
    features: Tensor | None = None
    probability_maps: Tensor | None = None
    images: Tensor | None = None
    extras: Mapping[str, Tensor] | None = None
    covariance: Tensor | None = None

    def __post_init__(self) -> None:
        if isinstance(self.extras, Mapping) and not isinstance(self.extras, Extras):
            object.__setattr__(self, "extras", Extras(self.extras))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Tensor | slice) -> "Landmarks":
        return self.each(lambda value: value[index])

    def each(self, change: Callable[[Tensor], Tensor]) -> "Landmarks":
        """Return what a function makes of each tensor, in every field alike."""
        others: dict[str, Any] = {}
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if isinstance(value, Extras):
                others[field.name] = value.each(change)
            else:
                others[field.name] = None if value is None else change(value)
        return Landmarks(change(self.points), **others)

    @staticmethod
    def cat(parts: "Sequence[Landmarks]") -> "Landmarks":
        """Join batches; a field that one of them lacks is left out."""
        others: dict[str, Any] = {}
        for field in fields(Landmarks)[1:]:
            column = [getattr(part, field.name) for part in parts]
            lacking = any(value is None for value in column)
            join = Extras.cat if field.name == "extras" else torch.cat
            others[field.name] = None if lacking else join(column)
        return Landmarks(torch.cat([part.points for part in parts]), **others)


# So that torch.export traces detectors, which return it.
torch.export.register_dataclass(Landmarks)
