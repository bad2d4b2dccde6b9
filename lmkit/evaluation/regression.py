"""Linear maps between discovered landmarks and annotated points, and the error measure."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE = 1e-4
"""Relative strength r of the ridge: times the mean variance of an input. Where the inputs vary by
v times that mean along a principal direction, the slope of least squares is multiplied by
v / (v + r): it stays, to r / v, wherever inputs carry information, and is bounded where they do
not, as for landmarks that fell onto one another or fewer pictures than unknowns."""


class LinearMap:
    """A linear regressor with bias: a ridge regression on centred data.

    This is the regressor of Li et al. 2020 and of Sanchez and Tzimiropoulos 2019; the detector
    stays frozen.

    Args:
        inputs: (N, K, 2), the points to map from.
        outputs: (N, P, 2), the points to map to.
        ridge: Relative strength of the ridge.
    """

    def __init__(self, inputs: Array, outputs: Array, *, ridge: float = RIDGE) -> None:
        x, y = inputs.reshape(len(inputs), -1), outputs.reshape(len(outputs), -1)
        self._input_mean, self._output_mean = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self._input_mean, y - self._output_mean
        # Inputs that never vary say nothing: any ridge then leaves the mean of the outputs.
        variance = float((x**2).mean())
        strength = ridge * variance * len(x) if variance else 1.0
        gram = x.T @ x + strength * np.eye(x.shape[1])
        self._matrix = np.linalg.solve(gram, x.T @ y)

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


def normalised_errors(predicted: Array, truth: Array, pair: tuple[int, int]) -> Array:
    """Return each point's distance from the truth, as a share of the normalising distance.

    Args:
        predicted: (N, P, 2), pixels.
        truth: (N, P, 2), pixels.
        pair: The two points of ``truth`` whose distance normalises: the eyes.

    Returns:
        (N, P). The papers call the mean of this, in percent, "normalised MSE"; it is a mean
        distance, and is called NME here.
    """
    return distances(predicted, truth) / normalising_distance(truth, pair)[:, None]


def normalising_distance(truth: Array, pair: tuple[int, int]) -> Array:
    """Return the distance between the two normalising points of each picture, (N,)."""
    distance: Array = np.linalg.norm(truth[:, pair[0]] - truth[:, pair[1]], axis=-1)
    return distance


def distances(first: Array, second: Array) -> Array:
    """Return the distance between corresponding points, (N, P)."""
    distance: Array = np.linalg.norm(first - second, axis=-1)
    return distance
