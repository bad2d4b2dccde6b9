"""Whether a landmark's confidence tells how far off it is, on images that nothing was fitted to.

A landmark has no annotation of its own. How far off it is, is how far it lies from where the
annotated points say that it should be, which is what the backward error measures: by a linear map
from annotated points to landmarks, fitted on the images to fit.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.evaluation.detections import Detections
from lmkit.evaluation.measures import distances, normalising_distance
from lmkit.evaluation.regression import LMKIT, Convention
from lmkit.points.linear import Array, complete

BINS = 10
"""Into how many parts of as many landmarks each a table is divided, at most."""
LEAST = 20
"""From how many landmarks in all on there is anything to tell."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Landmarks of about the same confidence.

    Args:
        count: How many there are.
        confidence: Their mean confidence.
        error: Their mean error, in percent of the normalising distance.
        expected: What the calibration expects of them, the same.
    """

    count: int
    confidence: float
    error: float
    expected: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "count": self.count,
            "confidence": self.confidence,
            "error": self.error,
            "expected": self.expected,
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """How confidence and error go together.

    Args:
        correlation: Spearman's rank correlation of confidence and error, over all landmarks of all
            test images: -1 if the surer is always the better. None if either does not vary.
        per_landmark: The same over the images, for each landmark.
        images: The same of the images' means.
        bins: Test landmarks, from the least sure to the surest.
        calibration: Pairs of a confidence, ascending, and the error that it stands for, which never
            rises; between them it is linear. Fitted on the images to fit.
    """

    correlation: float | None
    per_landmark: list[float | None]
    images: float | None
    bins: list[Bin]
    calibration: list[tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "rank_correlation": self.correlation,
            "per_landmark": self.per_landmark,
            "images": self.images,
            "bins": [each.to_dict() for each in self.bins],
            "calibration": [list(pair) for pair in self.calibration],
        }


class Backward(NamedTuple):
    """Landmarks of images that have all their points, and how far each is off."""

    fitting: Detections
    testing: Detections
    predicted: Array
    """(N, K, 2), the landmarks of the test images as annotated points say, in [-1, 1]."""
    fit_errors: Array
    """(M, K), shares of the normalising distance; infinite or NaN where that is not known."""
    test_errors: Array
    """(N, K), the same."""


def landmark_errors(
    convention: Convention, fitting: Detections, testing: Detections, pair: tuple[int, int]
) -> Backward | None:
    """Predict landmarks from annotated points, on the images that have all of those.

    Args:
        convention: How, as the main figure's map in the other direction.
        fitting: What was found on the images to fit.
        testing: The same of those to test.
        pair: The two annotated points whose distance normalises.

    Returns:
        None where there are too few such images to fit, or none to test.
    """
    fitting, testing = (part.take(complete(part.truth)) for part in (fitting, testing))
    if len(fitting) < 2 or not len(testing):
        return None
    # Without a bias there is no published backward map.
    fit = (convention if convention.bias else LMKIT).linear_map
    predict = fit(fitting.truth_in_square(), fitting.found)

    def errors(part: Detections, predicted: Array) -> Array:
        off = distances(part.to_pixels(predicted), part.to_pixels(part.found))
        normalised: Array = off / normalising_distance(part.truth, pair)[:, None]
        return normalised

    predicted = predict(testing.truth_in_square())
    with np.errstate(divide="ignore", invalid="ignore"):
        fit_errors = errors(fitting, predict(fitting.truth_in_square()))
    return Backward(fitting, testing, predicted, fit_errors, errors(testing, predicted))


def reliability_of(
    convention: Convention, fitting: Detections, testing: Detections, pair: tuple[int, int]
) -> Reliability | None:
    """Compare confidence with the errors of landmarks; None where either is not known.

    Args:
        convention: As of ``landmark_errors``.
        fitting: What was found on the images to fit, with confidence.
        testing: The same of those to test.
        pair: The two annotated points whose distance normalises.
    """
    if fitting.confidence is None or testing.confidence is None:
        return None
    parts = landmark_errors(convention, fitting, testing, pair)
    if parts is None:
        return None
    fit_sure, sure = parts.fitting.confidence, parts.testing.confidence
    assert fit_sure is not None
    assert sure is not None
    known = np.isfinite(parts.fit_errors).all(axis=1)
    return measure_reliability(
        fit_sure[known], 100 * parts.fit_errors[known], sure, 100 * parts.test_errors
    )


def measure_reliability(
    fit_confidence: Array, fit_errors: Array, confidence: Array, errors: Array
) -> Reliability | None:
    """Compare the confidence of landmarks with their errors.

    Args:
        fit_confidence: (M, K), in [0, 1], on the images to fit.
        fit_errors: (M, K), in percent.
        confidence: (N, K), on the test images.
        errors: (N, K).

    Returns:
        How they go together; None where there are too few.
    """
    if fit_errors.size < LEAST or errors.size < LEAST:
        return None
    calibration = fit_falling(fit_confidence.ravel(), fit_errors.ravel())
    sure, off = confidence.ravel(), errors.ravel()
    expected = np.interp(sure, *np.array(calibration).T)
    order = np.argsort(sure, kind="stable")
    bins = [
        Bin(len(part), float(sure[part].mean()), float(off[part].mean()), float(mean))
        for part in np.array_split(order, min(BINS, len(order)))
        for mean in (expected[part].mean(),)
    ]
    return Reliability(
        correlation=rank_correlation(sure, off),
        per_landmark=[
            rank_correlation(confidence[:, k], errors[:, k]) for k in range(errors.shape[1])
        ],
        images=rank_correlation(confidence.mean(axis=1), errors.mean(axis=1)),
        bins=bins,
        calibration=calibration,
    )


def rank_correlation(first: Array, second: Array) -> float | None:
    """Return Spearman's rank correlation; None if either does not vary.

    Args:
        first: (N,).
        second: (N,).
    """
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def fit_falling(confidence: Array, errors: Array) -> list[tuple[float, float]]:
    """Return the least squares map from confidence to error that never rises.

    Neighbours that would rise are joined until none does (pool adjacent violators).

    Args:
        confidence: (N,).
        errors: (N,).

    Returns:
        The mean confidence and error of each group that was joined, confidence ascending.
    """
    levels, places = np.unique(confidence, return_inverse=True)
    counts = np.bincount(places).astype(np.float64)
    means = np.bincount(places, errors) / counts
    groups: list[list[float]] = []  # of each its sum of weights, confidences and errors
    for level, count, mean in zip(levels, counts, means, strict=True):
        groups.append([count, count * level, count * mean])
        while len(groups) > 1 and groups[-1][2] * groups[-2][0] >= groups[-2][2] * groups[-1][0]:
            last = groups.pop()
            groups[-1] = [one + other for one, other in zip(groups[-1], last, strict=True)]
    return [(sure / count, error / count) for count, sure, error in groups]


def _ranks(values: Array) -> NDArray[np.float64]:
    """Return the rank of each value; equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks
