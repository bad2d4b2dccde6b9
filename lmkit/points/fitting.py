"""A map to named points fitted to labelled images, and what they say of how good it is.

What kind of map it is, its ridge and its bias are chosen by cross-validation. The error is that of
maps that were chosen and fitted without the image at hand, so that the choice is part of what is
measured. Images of one group, such as those of one person, are left out together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lmkit.points.linear import RIDGE, Array, LinearMap, PartialMap, WeightedMap, known_points
from lmkit.seeds import derive

Kind = Literal["weighted", "linear"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What kinds of map are tried."""
RIDGES = tuple(10.0**power for power in range(-5, 1))
"""The relative strengths of the ridge that are tried, with and without a bias and of each kind."""
FOLDS = 10
"""Parts that the error is measured with: each is predicted by a map fitted to the others."""
INNER_FOLDS = 10
"""Parts that the kind of map, its ridge and its bias are chosen with."""
MOST = 5_000
"""They are chosen on so many images at most, taken at random; the map is fitted
to all."""


@dataclass(frozen=True, slots=True)
class LabelledLandmarks:
    """Landmarks of labelled images, beside the labels.

    Args:
        found: (N, K, 2), landmarks in [-1, 1] of the square image.
        truth: (N, P, 2), labelled points, the same; NaN where not known.
        keys: The images' names.
        groups: (N,), numbers; images with the same one are of the same subject.
    """

    found: Array
    truth: Array
    keys: list[str]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[Any]) -> "LabelledLandmarks":
        """Return some of the images, by a mask or by numbers."""
        numbers = np.arange(len(self))[rows]
        keys = [self.keys[number] for number in numbers]
        return LabelledLandmarks(
            self.found[numbers], self.truth[numbers], keys, self.groups[numbers]
        )


class Affine(NamedTuple):
    """A map of flattened points."""

    matrix: Array
    """(2K, 2P)."""
    offset: Array
    """(2P,)."""

    def __call__(self, points: Array) -> Array:
        """Map (N, K, 2) to (N, P, 2)."""
        mapped: Array = points.reshape(len(points), -1) @ self.matrix + self.offset
        return mapped.reshape(len(points), -1, 2)


class Choice(NamedTuple):
    """What is chosen by cross-validation."""

    kind: Kind = "weighted"
    """[WeightedMap][lmkit.points.linear.WeightedMap], for few images, or
    [LinearMap][lmkit.points.linear.LinearMap], for many."""
    bias: bool = True
    """Without, a linear map goes through the square's upper left corner (Jakab et al. 2018)."""
    ridge: float = RIDGE
    """Relative strength, times the mean variance of an input."""

    def fit(self, data: LabelledLandmarks) -> Affine:
        """Fit the map; NaN for points that are known in no image."""
        # The corner of [-1, 1] is where the coordinates of an image begin.
        shift = 0.0 if self.bias else 1.0
        matrix, offset = PartialMap(data.found + shift, data.truth + shift, self._map).affine()
        return Affine(matrix, offset + shift * matrix.sum(axis=0) - shift)

    def _map(self, inputs: Array, outputs: Array) -> LinearMap | WeightedMap:
        kind = WeightedMap if self.kind == "weighted" else LinearMap
        return kind(inputs, outputs, bias=self.bias, ridge=self.ridge)


CHOICES = tuple(
    Choice(kind, bias, ridge) for kind in KINDS for bias in (True, False) for ridge in RIDGES
)
"""What is tried, in this order; of equally good ones, the first is taken."""


def distances(predicted: Array, truth: Array) -> Array:
    """Return how far points are off, in percent of the square's side, (N, P); NaN if unknown."""
    length: Array = 50 * np.linalg.norm(predicted - truth, axis=-1)
    return length


def image_means(values: Array) -> Array:
    """Return the mean of each row's known values, (N,); NaN where a row has none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    mean: Array = np.where(known, values, 0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def choose(data: LabelledLandmarks, seed: int) -> Choice:
    """Choose kind, ridge and bias: those with the least mean error in cross-validation.

    Args:
        data: Labelled images.
        seed: Decides the folds.
    """
    if len(data) > MOST:
        generator = np.random.default_rng(derive(seed, "points", "choose"))
        data = data.take(generator.permutation(len(data))[:MOST])
    parts = list(folds(data.groups, INNER_FOLDS, seed))
    best, least = Choice(), np.inf
    for choice in CHOICES if len(parts) > 1 else ():
        if choice.kind == "linear" and len(data) <= 2 * data.found.shape[1]:
            continue  # It has more unknowns than there are images, and few could tell it is worse.
        predicted = cross_validated(data, parts, choice.fit)
        errors = image_means(distances(predicted, data.truth))
        error = errors[np.isfinite(errors)].mean() if np.isfinite(errors).any() else np.inf
        # What differs by rounding alone is equally good.
        if error < least * (1 - 1e-9):
            best, least = choice, error
    return best


def choose_and_fit(data: LabelledLandmarks, seed: int) -> Affine:
    """Fit a map of which everything is chosen on the same images."""
    return choose(data, seed).fit(data)


def folds(groups: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield the images of each fold, (N,); no group is in two of them.

    Args:
        groups: (N,), the images' groups.
        count: How many folds; as many as there are groups if that is fewer.
        seed: Decides which groups are together.
    """
    own = np.unique(groups)
    generator = np.random.default_rng(derive(seed, "points", "folds"))
    order = generator.permutation(own)
    for first in range(min(count, len(own))):
        yield np.isin(groups, order[first::count])


def cross_validated(
    data: LabelledLandmarks,
    parts: list[NDArray[np.bool_]],
    fit: Callable[[LabelledLandmarks], Affine],
) -> Array:
    """Return what maps fitted without each part predict on it, (N, P, 2); NaN where they cannot."""
    predicted = np.full(data.truth.shape, np.nan)
    for part in parts:
        predicted[part] = fit(data.take(~part))(data.found[part])
    return predicted


def standard_error(predicted: Array, truth: Array) -> Array:
    """Return the root mean square of what x and y are off by, (P, 2); NaN if never known."""
    squares = ((predicted - truth) ** 2).transpose(1, 2, 0).reshape(-1, len(truth))
    root: Array = np.sqrt(image_means(squares))
    return root.reshape(-1, 2)


def labelled_only(data: LabelledLandmarks) -> LabelledLandmarks:
    """Leave out images of which no point is known."""
    return data.take(np.asarray(known_points(data.truth).any(axis=1)))


def apart(data: LabelledLandmarks) -> LabelledLandmarks:
    """Take each image for itself where all are of one group, which could not be divided."""
    if len(np.unique(data.groups)) > 1:
        return data
    return replace(data, groups=np.arange(len(data)))
