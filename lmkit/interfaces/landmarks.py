"""What a detector returns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


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
    covariance: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Tensor | slice) -> "Landmarks":
        others = {}
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            others[field.name] = None if value is None else value[index]
        return Landmarks(self.points[index], **others)

    @staticmethod
    def cat(parts: "Sequence[Landmarks]") -> "Landmarks":
        """Join batches; a field that one of them lacks is left out."""
        others = {}
        for field in fields(Landmarks)[1:]:
            column = [getattr(part, field.name) for part in parts]
            lacking = any(value is None for value in column)
            others[field.name] = None if lacking else torch.cat(column)
        return Landmarks(torch.cat([part.points for part in parts]), **others)


# So that torch.export traces detectors, which return it.
torch.export.register_dataclass(Landmarks)
