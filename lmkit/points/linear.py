"""Linear maps from points to points of which some may not be known, fitted in closed form."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE = 1e-4
"""Relative strength r of lmkit's own ridge: times the mean variance of an input. Where the inputs
vary by v times that mean along a principal direction, the slope of least squares is multiplied by
v / (v + r): it stays, to r / v, wherever inputs carry information, and is bounded where they do
not, as for landmarks that fell onto one another or fewer images than unknowns."""

Scale = Literal["mean", "largest"]
"""What a ridge is relative to: the mean or the largest sum of squares of an input. By the
Cauchy-Schwarz inequality the latter is the largest entry of the matrix that is inverted."""


class LinearMap:
    """A linear regressor, fitted in closed form.

    With bias it is a ridge regression on centred data. Without, it is one through the origin, and
    so depends on where the origin is. Without a ridge either is least squares, the smallest of the
    solutions where there are several.

    Args:
        inputs: (N, K, 2), the points to map from.
        outputs: (N, P, 2), the points to map to.
        bias: Whether the map has a bias.
        ridge: Relative strength of the ridge.
        relative_to: What it is relative to.
    """

    def __init__(
        self,
        inputs: Array,
        outputs: Array,
        *,
        bias: bool = True,
        ridge: float = RIDGE,
        relative_to: Scale = "mean",
    ) -> None:
        x, y = inputs.reshape(len(inputs), -1), outputs.reshape(len(outputs), -1)
        self._input_mean = x.mean(axis=0) * bias
        self._output_mean = y.mean(axis=0) * bias
        x, y = x - self._input_mean, y - self._output_mean
        squares = (x**2).sum(axis=0)
        strength = ridge * float(squares.mean() if relative_to == "mean" else squares.max())
        if strength:
            gram = x.T @ x + strength * np.eye(x.shape[1])
            self._matrix: Array = np.linalg.solve(gram, x.T @ y)
        else:
            # No ridge, or inputs that never vary: they say nothing, and the mean is left.
            self._matrix = np.linalg.lstsq(x, y, rcond=None)[0]

    def __call__(self, inputs: Array) -> Array:
        """Map points.

        Args:
            inputs: (N, K, 2).

        Returns:
            (N, P, 2).
        """
        x = inputs.reshape(len(inputs), -1) - self._input_mean
        mapped: Array = x @ self._matrix + self._output_mean
        return mapped.reshape(len(inputs), -1, 2)

    def affine(self) -> tuple[Array, Array]:
        """Return the matrix (2K, 2P) and the offset (2P,) that map flattened points."""
        return self._matrix, self._output_mean - self._input_mean @ self._matrix


class WeightedMap:
    """Each output is a weighted sum of the inputs; x and y share weights, which add up to one.

    Such a map follows every translation, rotation, scaling and shear of its inputs, whatever it was
    fitted to, and has K unknowns a point where [LinearMap][lmkit.points.linear.LinearMap] has 4K:
    it takes fewer images and, with many, is less exact. It is fitted in closed form, with a ridge
    that pulls all weights towards 1/K.

    Args:
        inputs: (N, K, 2), the points to map from.
        outputs: (N, P, 2), the points to map to.
        bias: Whether a constant is added to each output.
        ridge: Relative strength of the ridge, times the mean variance of an input.
    """

    def __init__(
        self, inputs: Array, outputs: Array, *, bias: bool = True, ridge: float = RIDGE
    ) -> None:
        count = inputs.shape[1]
        # Beside the mean of all inputs weights are free: what they lack to one goes to the mean.
        middle = inputs.mean(axis=1, keepdims=True)
        x, y = inputs - middle, outputs - middle
        x_mean, y_mean = x.mean(axis=0) * bias, y.mean(axis=0) * bias
        rows = [
            (each - mean).transpose(0, 2, 1).reshape(2 * len(each), -1, 1)
            for each, mean in ((x, x_mean), (y, y_mean))
        ]
        weights = LinearMap(*rows, bias=False, ridge=ridge).affine()[0]
        self._weights: Array = weights + (1 - weights.sum(axis=0)) / count
        self._offset: Array = y_mean - weights.T @ x_mean

    def __call__(self, inputs: Array) -> Array:
        """Map points.

        Args:
            inputs: (N, K, 2).

        Returns:
            (N, P, 2).
        """
        mapped: Array = np.einsum("nki,kp->npi", inputs, self._weights) + self._offset
        return mapped

    def affine(self) -> tuple[Array, Array]:
        """Return the matrix (2K, 2P) and the offset (2P,) that map flattened points."""
        matrix = np.asarray(np.kron(self._weights, np.eye(2)), np.float64)
        offset: Array = np.asarray(self._offset.flatten(), np.float64)
        return matrix, offset


class PartialMap:
    """Maps to points of which some are not known in some images.

    Each point is fitted on the images where it is known.

    Args:
        inputs: (N, K, 2), the points to map from.
        outputs: (N, P, 2), the points to map to; NaN where not known.
        fit: Fits a map to points that are all known.
    """

    def __init__(
        self, inputs: Array, outputs: Array, fit: Callable[[Array, Array], LinearMap | WeightedMap]
    ) -> None:
        known = known_points(outputs)
        # Points that are known in the same images share one fit; most often that is all of them.
        groups: dict[bytes, list[int]] = {}
        for point in range(outputs.shape[1]):
            groups.setdefault(known[:, point].tobytes(), []).append(point)
        self._inputs, self._points = 2 * inputs.shape[1], outputs.shape[1]
        self._maps = []
        for points in groups.values():
            rows = known[:, points[0]]
            if rows.any():
                self._maps.append((points, fit(inputs[rows], outputs[rows][:, points])))

    def __call__(self, inputs: Array) -> Array:
        """Map points.

        Args:
            inputs: (N, K, 2).

        Returns:
            (N, P, 2); NaN for points that were known in no image.
        """
        mapped = np.full((len(inputs), self._points, 2), np.nan)
        for points, own in self._maps:
            mapped[:, points] = own(inputs)
        return mapped

    def affine(self) -> tuple[Array, Array]:
        """Return the matrix (2K, 2P) and the offset (2P,) that map flattened points.

        Columns are NaN of points that were known in no image.
        """
        matrix = np.full((self._inputs, self._points, 2), np.nan)
        offset = np.full((self._points, 2), np.nan)
        for points, own in self._maps:
            own_matrix, own_offset = own.affine()
            matrix[:, points] = own_matrix.reshape(self._inputs, -1, 2)
            offset[points] = own_offset.reshape(-1, 2)
        return matrix.reshape(self._inputs, -1), offset.reshape(-1)


def known_points(points: Array) -> NDArray[np.bool_]:
    """Return which of (N, P, 2) points are known, (N, P)."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def complete(points: Array) -> NDArray[np.bool_]:
    """Return of which images all of (N, P, 2) points are known, (N,)."""
    return np.asarray(known_points(points).all(axis=1))


def ever_known(points: Array) -> NDArray[np.bool_]:
    """Return which of (N, P, 2) points are known in any image, (P,)."""
    return np.asarray(known_points(points).any(axis=0))
