"""What labelled images say of a map to named points: its error, how many are needed, outliers."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmkit.errors import ExitCode, LmkitError
from lmkit.points.fitting import (
    FOLDS,
    LabelledLandmarks,
    apart,
    choose,
    choose_and_fit,
    cross_validated,
    distances,
    folds,
    image_means,
    labelled_only,
    standard_error,
)
from lmkit.points.linear import Array, ever_known, known_points
from lmkit.points.map import MAP, FittedWith, PointsMap
from lmkit.seeds import derive
from lmkit.storage import made, write_json, write_text

NUMBERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Numbers of labelled images that the error is measured with."""
DRAWS = 10
"""Random draws of each number."""
LEFT = 0.2
"""At least so large a share of the images is left to measure the error of a draw on."""
TESTED = 5_000
"""The error of a draw is measured on so many images at most."""
ENOUGH = 1.1
"""So many times the error of all labelled images is as good as that."""
OUTLIER = 5.0
"""A point that is off by so many times the median of all images is labelled wrongly, or its image
is unlike the others. With normal errors that is six standard deviations."""
JUDGED = 5
"""A point needs to be known on so many images before any of them is called an outlier."""

REPORT, IMAGES = "fit.json", "images.csv"
"""The names of the other files beside the map."""


@dataclass(frozen=True, slots=True)
class WithFewer:
    """The error with some number of labelled images, in percent of the square's side.

    Args:
        images: The number.
        draws: How many random draws there were.
        error: The mean over draws of the error on the other images.
        low: 95 percent of the draws are between this
        high: and this.
    """

    images: int
    draws: int
    error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """How well the other images predict the labels of one.

    Args:
        name: The image's.
        error: The mean over its points, in percent of the square's side; NaN if not known.
        point: The point that is furthest off, for what it usually is off by; empty if not known.
        ratio: How many times the median over images that is; NaN if not known.
    """

    name: str
    error: float
    point: str
    ratio: float

    @property
    def is_outlier(self) -> bool:
        """Whether its labels should be looked at."""
        return self.ratio > OUTLIER


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted map, and how good it is.

    Errors are of cross-validation, in percent of the side of the square that the detector sees.

    Args:
        map: The map.
        error: The mean over images.
        point_errors: The mean of each point.
        curve: The error with fewer labelled images.
        images: Every labelled image, the worst first.
        notes: What the user should hear, a sentence each.
    """

    map: PointsMap
    error: float
    point_errors: dict[str, float]
    curve: list[WithFewer]
    images: list[LabelledImage]
    notes: list[str]

    @property
    def needed(self) -> int | None:
        """The least number whose error is within [ENOUGH][lmkit.points.report.ENOUGH] of all's.

        None if no smaller number is enough: more labelled images would probably help.
        """
        enough = (row.images for row in self.curve if row.error <= ENOUGH * self.error)
        return next(enough, None)

    @property
    def outliers(self) -> list[LabelledImage]:
        """The labelled images whose labels should be looked at, the worst first."""
        return [image for image in self.images if image.is_outlier]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; None where a number is not known."""
        return {
            "images": self.map.images,
            "landmarks": self.map.landmarks,
            "points": list(self.map.names),
            "kind": self.map.kind,
            "bias": self.map.bias,
            "ridge": self.map.ridge,
            "error": _known(self.error),
            "point_errors": {name: _known(error) for name, error in self.point_errors.items()},
            "curve": [asdict(row) for row in self.curve],
            "needed": self.needed,
            "outliers": [
                {"file": each.name, "point": each.point, "times_the_median": each.ratio}
                for each in self.outliers
            ],
            "notes": self.notes,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write the map, the report and the table of labelled images; return the files.

        Raises:
            LmkitError: If they cannot be written.
        """
        files = [folder / name for name in (IMAGES, REPORT, MAP)]
        with made(folder):
            write_text(files[0], self._table())
            write_json(files[1], self.to_dict())
            self.map.save(files[2])
        return files

    def _table(self) -> str:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "error", "point", "times_the_median", "outlier"])
        for each in self.images:
            numbers = [each.error, each.ratio]
            error, ratio = ("" if np.isnan(n) else f"{n:.3f}" for n in numbers)
            table.writerow([each.name, error, each.point, ratio, int(each.is_outlier)])
        return text.getvalue()


def fit_points(
    data: LabelledLandmarks,
    names: Sequence[str],
    fitted_with: FittedWith,
    *,
    numbers: Sequence[int] = NUMBERS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Fit:
    """Fit a map from landmarks to named points.

    Args:
        data: Labelled images.
        names: What their points are called.
        fitted_with: The detector that found the landmarks.
        numbers: With how many labelled images the error is measured, of those that leave
            [enough][lmkit.points.report.LEFT] to measure it on.
        draws: How many random draws of each.
        seed: Decides folds and draws.

    Raises:
        LmkitError: If fewer than two images are labelled.
    """
    data = apart(labelled_only(data))
    if len(data) < 2:
        raise LmkitError(
            f"{len(data)} images have labelled points, and fitting takes two or more.",
            remedy="Label more; lmkit suggest names the images most worth it. Ten are a good "
            "start.",
            code=ExitCode.DATA,
        )
    notes = []
    ever = ever_known(data.truth)
    if not ever.all():
        lacking = [name for name, known in zip(names, ever, strict=True) if not known]
        notes.append(f"Left out, since no image has them labelled: {', '.join(lacking)}.")
        names = [name for name, known in zip(names, ever, strict=True) if known]
        data = LabelledLandmarks(data.found, data.truth[:, ever], data.keys, data.groups)
    parts = list(folds(data.groups, FOLDS, seed))
    predicted = cross_validated(data, parts, lambda part: choose_and_fit(part, seed))
    off = distances(predicted, data.truth)
    choice = choose(data, seed)
    affine = choice.fit(data)
    fitted = PointsMap(
        tuple(names),
        affine.matrix,
        affine.offset,
        standard_error(predicted, data.truth),
        choice.kind,
        choice.bias,
        choice.ridge,
        len(data),
        fitted_with,
    )
    return Fit(
        fitted,
        _mean(image_means(off)),
        dict(zip(names, image_means(off.T).tolist(), strict=True)),
        [
            row
            for number in sorted(set(numbers))
            if (row := with_fewer(data, number, draws=draws, seed=seed)) is not None
        ],
        _rank(data, off, names),
        notes,
    )


def with_fewer(data: LabelledLandmarks, number: int, *, draws: int, seed: int) -> WithFewer | None:
    """Measure the error of maps fitted to random draws of few images, on images of other groups.

    Args:
        data: Labelled images.
        number: How many are drawn; those with all points known first.
        draws: How often.
        seed: Decides the draws.

    Returns:
        None where too few images are left to measure it on.
    """
    errors = []
    complete = np.asarray(known_points(data.truth).all(axis=1))
    for draw in range(draws):
        generator = np.random.default_rng(derive(seed, "points", "fewer", number, draw))
        order = generator.permutation(len(data))
        order = order[np.argsort(~complete[order], kind="stable")]
        own = order[:number]
        others = order[number:][~np.isin(data.groups[order[number:]], data.groups[own])]
        if len(own) < number or len(others) < max(1, LEFT * len(data)):
            return None
        affine = choose_and_fit(data.take(own), seed)
        tested = data.take(generator.permutation(others)[:TESTED])
        error = _mean(image_means(distances(affine(tested.found), tested.truth)))
        if np.isfinite(error):
            errors.append(error)
    if not errors:
        return None
    low, high = np.percentile(errors, (2.5, 97.5))
    return WithFewer(number, len(errors), float(np.mean(errors)), float(low), float(high))


def _rank(data: LabelledLandmarks, off: Array, names: Sequence[str]) -> list[LabelledImage]:
    """Return the labelled images, the one with the least likely point first."""
    ratio = np.full(off.shape, np.nan)
    for point in range(off.shape[1]):
        known = np.isfinite(off[:, point])
        if known.sum() >= JUDGED:
            usual = np.median(off[known, point])
            ratio[:, point] = off[:, point] / max(float(usual), 1e-9)
    largest = np.where(np.isfinite(ratio), ratio, -1)
    means = image_means(off)
    images = []
    for row in np.argsort(-largest.max(axis=1), kind="stable").tolist():
        worst = int(largest[row].argmax())
        value = float(ratio[row, worst])
        name = "" if np.isnan(value) else names[worst]
        images.append(LabelledImage(data.keys[row], float(means[row]), name, value))
    return images


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
