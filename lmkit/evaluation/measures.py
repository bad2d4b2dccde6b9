"""What errors come to: distances, their normalisation, curve, area, failures and interval."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from lmkit.errors import LmkitError
from lmkit.evaluation.regression import Array

RESAMPLES = 1_000
"""How often test images are drawn anew for a confidence interval."""
LEVEL = 0.95
"""The share of resamples that a confidence interval holds."""


class Measure(NamedTuple):
    """A figure of the errors of images, beside their mean."""

    title: str
    """What it is called in a table."""
    of: Callable[[Array], float]
    """From (N,) errors of images, in percent, to the figure, in percent."""


MEASURES: dict[str, Measure] = {
    "median": Measure("median over images", lambda errors: float(np.median(errors))),
    "percentile_90": Measure(
        "90 % of the images are at or below", lambda errors: float(np.percentile(errors, 90))
    ),
}
"""The figures that every evaluation reports, by their names in its JSON; an entry is all that
another one takes."""

_POINTS_OF_CURVE = 100
_NAMED = 10  # up to so many points, a message names each
_AT_A_TIME = 4_000_000  # numbers drawn together; bounds the memory, and changes no result


def distances(first: Array, second: Array) -> Array:
    """Return the distance between corresponding points, (N, P); NaN where either is not known."""
    distance: Array = np.linalg.norm(first - second, axis=-1)
    return distance


def normalising_distance(truth: Array, pair: tuple[int, int]) -> Array:
    """Return the distance between the two normalising points of each image, (N,)."""
    return distances(truth[:, pair[0]], truth[:, pair[1]])


def normalised_errors(predicted: Array, truth: Array, pair: tuple[int, int]) -> Array:
    """Return each point's distance from the truth, as a share of the normalising distance.

    Args:
        predicted: (N, P, 2), pixels.
        truth: (N, P, 2), pixels; NaN where not known.
        pair: The two points of ``truth`` whose distance normalises: the eyes.

    Returns:
        (N, P), NaN where not known. The papers call the mean of this, in percent, "normalised MSE";
        it is a mean distance, and is called NME here.
    """
    return distances(predicted, truth) / normalising_distance(truth, pair)[:, None]


def mean_known(values: Array, axis: int) -> Array:
    """Return the mean over an axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean: Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def image_errors(predicted: Array, truth: Array, pair: tuple[int, int]) -> Array:
    """Return the mean error of each image's known points, in percent, (N,).

    Args:
        predicted: (N, P, 2), pixels.
        truth: (N, P, 2), pixels; NaN where not known.
        pair: The two points whose distance normalises.
    """
    return 100 * mean_known(normalised_errors(predicted, truth, pair), axis=1)


def pair_by_name(text: str, names: Sequence[str]) -> tuple[int, int]:
    """Return the normalising pair that a user names.

    Args:
        text: Two points with a comma between them, by name or counted from 0.
        names: The annotated points.

    Raises:
        LmkitError: If these are not two different points.
    """
    if not names:
        raise LmkitError(
            f"Errors cannot be normalised by '{text}': the data has no annotated points.",
            remedy="Leave --normalise-by out, or give annotated data.",
        )
    words = [word.strip() for word in text.split(",")]
    by_word = {str(number): number for number in range(len(names))}
    by_word |= {name: number for number, name in enumerate(names)}
    unknown = [word for word in words if word not in by_word]
    if len(words) == 2 and not unknown and by_word[words[0]] != by_word[words[1]]:
        return by_word[words[0]], by_word[words[1]]
    problem = (
        f"there is no point '{unknown[0]}'" if unknown else "these are not two different points"
    )
    shown = ", ".join(names) if len(names) <= _NAMED else f"0 to {len(names) - 1}"
    raise LmkitError(
        f"Errors cannot be normalised by '{text}': {problem}.",
        remedy=f"Give two points with a comma between them, such as 0,1. The points are: {shown}.",
    )


class Interval(NamedTuple):
    """A confidence interval of a mean."""

    low: float
    high: float


def bootstrap(errors: Array, *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Return the percentile interval of a mean over images (Efron 1979).

    Args:
        errors: (N,), one an image.
        seed: Decides the draws.
        resamples: How often N images are drawn with replacement.

    Returns:
        The interval that holds [LEVEL][lmkit.evaluation.measures.LEVEL] of the means.
    """
    generator = np.random.default_rng(seed)
    count = len(errors)
    together = max(1, _AT_A_TIME // count)
    means = [
        errors[generator.integers(count, size=(min(together, resamples - first), count))].mean(1)
        for first in range(0, resamples, together)
    ]
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(np.concatenate(means), (tail, 100 - tail))
    return Interval(float(low), float(high))


@dataclass(frozen=True, slots=True)
class Curve:
    """The cumulative error curve: the share of images whose error is at most so much.

    Args:
        threshold: How far it goes; errors beyond it are failures.
        failure_rate: The share of images whose error is above the threshold.
        area: The area under the curve up to the threshold, as a share: 1 if no image has any
            error, 0 if all fail.
        errors: Where the curve is written down, from 0 to the threshold in equal steps.
        shares: Its values there.
    """

    threshold: float
    failure_rate: float
    area: float
    errors: list[float]
    shares: list[float]

    @classmethod
    def of(cls, errors: Array, threshold: float) -> "Curve":
        """Return the curve of (N,) errors, one an image.

        An image of error e adds a step of 1/N at e, and so an area of (threshold - e) / N: the
        integral is exact, whatever the curve is written down at.
        """
        at = np.linspace(0, threshold, _POINTS_OF_CURVE + 1)
        below = np.searchsorted(np.sort(errors), at, side="right")
        return cls(
            threshold=threshold,
            failure_rate=float((errors > threshold).mean()),
            area=float(np.maximum(threshold - errors, 0).mean() / threshold),
            errors=at.tolist(),
            shares=(below / len(errors)).tolist(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
