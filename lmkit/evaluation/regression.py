"""Linear maps between discovered landmarks and annotated points, and the papers' choices of them.

The figures of two conventions are not comparable with one another. What a paper leaves open was
read off the code that its authors released. What a convention does not hold is that each paper
also crops in its own way, and measures distances in its crop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import LmkitError, did_you_mean

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


class PartialMap:
    """Maps to points of which some are not known in some images.

    Each point is fitted on the images where it is known.

    Args:
        inputs: (N, K, 2), the points to map from.
        outputs: (N, P, 2), the points to map to; NaN where not known.
        fit: Fits a map to points that are all known.
    """

    def __init__(
        self, inputs: Array, outputs: Array, fit: Callable[[Array, Array], LinearMap]
    ) -> None:
        known = known_points(outputs)
        # Points that are known in the same images share one fit; most often that is all of them.
        groups: dict[bytes, list[int]] = {}
        for point in range(outputs.shape[1]):
            groups.setdefault(known[:, point].tobytes(), []).append(point)
        self._points = outputs.shape[1]
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


def known_points(points: Array) -> NDArray[np.bool_]:
    """Return which of (N, P, 2) points are known, (N, P)."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def complete(points: Array) -> NDArray[np.bool_]:
    """Return of which images all of (N, P, 2) points are known, (N,)."""
    return np.asarray(known_points(points).all(axis=1))


def ever_known(points: Array) -> NDArray[np.bool_]:
    """Return which of (N, P, 2) points are known in any image, (P,)."""
    return np.asarray(known_points(points).any(axis=0))


@dataclass(frozen=True, slots=True)
class Convention:
    """How annotated points are predicted from landmarks.

    Args:
        name: What it is chosen by.
        summary: One line about it.
        bias: Whether the map has a bias.
        ridge: Relative strength of the ridge; 0 is least squares.
        relative_to: What the ridge is relative to.
        origin: Where a map without bias goes through: the upper left corner of the square image,
            or its centre. With bias it does not matter.
        extra_images: How many images are fitted on beyond the N that are named.
        draws: How many random draws of N images; the caller's choice if not given.
    """

    name: str
    summary: str
    bias: bool = True
    ridge: float = 0.0
    relative_to: Scale = "mean"
    origin: Literal["corner", "centre"] = "corner"
    extra_images: int = 0
    draws: int | None = None

    def predict(self, found: Array, truth: Array, new: Array) -> Array:
        """Fit the map from landmarks to annotated points, and apply it.

        Args:
            found: (N, K, 2), landmarks in [-1, 1] of the square images.
            truth: (N, P, 2), annotated points, the same; NaN where not known.
            new: (M, K, 2), landmarks to map, the same.

        Returns:
            (M, P, 2), in [-1, 1]; NaN for points that were known in no image.
        """
        # The origin of [-1, 1] is the centre; from the corner, the side goes from 0 to 2.
        shift = 1.0 if self.origin == "corner" else 0.0
        return PartialMap(found + shift, truth + shift, self.linear_map)(new + shift) - shift

    def linear_map(self, inputs: Array, outputs: Array) -> LinearMap:
        """Fit points that are all known, with the origin where it is."""
        return LinearMap(
            inputs, outputs, bias=self.bias, ridge=self.ridge, relative_to=self.relative_to
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: what a reader of a report needs to compare it."""
        return {
            "convention": self.name,
            "bias": self.bias,
            "ridge": self.ridge,
            "ridge_relative_to": self.relative_to if self.ridge else None,
            "origin": None if self.bias else self.origin,
        }

    def describe(self) -> str:
        """Return in words what a reader of a report needs to compare it."""
        kind = "with bias" if self.bias else f"without bias, origin at the {self.origin}"
        ridge = f"ridge {self.ridge:g} of the {self.relative_to} variance" if self.ridge else ""
        return f"{kind}, {ridge or 'no ridge'}"


LMKIT = Convention("lmkit", "lmkit's own: with bias, N means N, several draws", ridge=RIDGE)
LI2020 = Convention(
    "li2020",
    "Li et al. 2020: with bias, N+1 images, one draw",
    ridge=1e-5,
    relative_to="largest",
    extra_images=1,
    draws=1,
)
SANCHEZ2019 = Convention(
    "sanchez2019",
    "Sanchez and Tzimiropoulos 2019: with bias, N+1 images, ten draws",
    ridge=1e-5,
    relative_to="largest",
    extra_images=1,
    draws=10,
)
JAKAB2018 = Convention(
    "jakab2018",
    "Jakab et al. 2018: without bias, in pixels from the upper left corner",
    bias=False,
)
DVE2019 = Convention(
    "dve2019",
    "Thewlis et al. 2019 (DVE): without bias, in coordinates from the centre",
    bias=False,
    origin="centre",
)

CONVENTIONS = {each.name: each for each in (LMKIT, LI2020, SANCHEZ2019, JAKAB2018, DVE2019)}
"""Every convention by its name."""


def convention(name: str) -> Convention:
    """Return a convention by its name.

    Raises:
        LmkitError: If there is none of that name.
    """
    if name not in CONVENTIONS:
        raise LmkitError(
            f"There is no convention '{name}'.",
            remedy=did_you_mean(name, CONVENTIONS, all_of_them="The conventions are"),
        )
    return CONVENTIONS[name]
