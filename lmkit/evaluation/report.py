"""The report: what an evaluation found, image by image and as figures, and what it states."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lmkit.data.framing import Framer
from lmkit.evaluation.controls import Controls
from lmkit.evaluation.faults import TELLING, Faults
from lmkit.evaluation.label_free import Judgement
from lmkit.evaluation.labelled import Labelled
from lmkit.evaluation.landmarks import Health
from lmkit.evaluation.measures import LEVEL, MEASURES, RESAMPLES, Curve, Interval, mean_known
from lmkit.evaluation.regression import Convention
from lmkit.evaluation.reliability import Reliability
from lmkit.evaluation.stability import Stability
from lmkit.evaluation.verdict import Verdict
from lmkit.points.linear import Array
from lmkit.storage import storage, write_json, write_text

EVALUATION = "evaluation.json"
"""The file that a report is written to."""

_LONGEST = 60  # characters of a folder's name before its digest


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """The result of an evaluation; every error in percent of the normalising distance.

    Args:
        keys: The names of the test images.
        indices: Their numbers in the data.
        errors: (N, P), the error of each annotated point by the main convention; NaN where it is
            not known.
        predictions: (N, P, 2), the annotated points as predicted, in pixels of the images.
        truth: (N, P, 2), the annotated points, the same; NaN where not known.
        detections: (N, K, 2), the landmarks, the same.
        convention: How annotated points were predicted: the main figure's.
        by_convention: NME of annotated points predicted from landmarks, by every convention.
        with_bias: The convention of the figure with bias: the main one, or lmkit's own.
        without_bias: That of the figure without bias: the main one, or Jakab's et al.
        interval: Confidence interval of the main figure.
        backward: NME of landmarks predicted from annotated points, as Sanchez and Tzimiropoulos
            2019 define it: it is small if each landmark keeps its place on the object. None where
            too few images have all their points.
        backward_per_landmark: The same for each landmark.
        mean_shape_errors: (N,), the error of each image where the mean annotated points of the
            fitting images are predicted.
        curve: The cumulative error curve.
        stability: How landmarks follow a known rotation; None if not measured.
        labelled: The error with few labelled images.
        health: What each landmark is like.
        faults: Which landmark is at fault on which image.
        controls: The untrained network and fixed points, where they were measured.
        judgement: What can be told without annotation; None if it was not to be.
        reliability: How confidence and error go together; None where either is not known.
        fit_images: Images the regressor was fitted on.
        test_images: Images it was tested on.
        complete_images: Of these, how many have all their points.
        without_pair: Test images left out because the normalising distance is not known.
        point_names: The annotated points.
        normalised_by: The two points whose distance is 100 %.
        framer: How images became the squares that the detector saw.
        data: The data, as chosen.
        step: The training step of the checkpoint.
        seed: Decides every random draw.
        unreadable: Images left out because they could not be read.
        notes: What a reader should know about the data, a sentence each.
        remarks: What a reader should know about the figures, a sentence each.
    """

    keys: list[str]
    indices: list[int]
    errors: Array
    predictions: Array
    truth: Array
    detections: Array
    convention: Convention
    by_convention: dict[str, float]
    with_bias: Convention
    without_bias: Convention
    interval: Interval
    backward: float | None
    backward_per_landmark: list[float] | None
    mean_shape_errors: Array
    curve: Curve
    stability: Stability | None
    labelled: list[Labelled]
    health: Health
    faults: Faults
    controls: Controls
    judgement: Judgement | None
    reliability: Reliability | None = None
    fit_images: int
    test_images: int
    complete_images: int
    without_pair: int
    point_names: list[str]
    normalised_by: tuple[str, str]
    framer: Framer
    data: str
    step: int
    seed: int
    unreadable: int
    notes: list[str]
    remarks: list[str]

    @property
    def per_image(self) -> Array:
        """The mean error of each image's known points, (N,)."""
        return mean_known(self.errors, axis=1)

    @property
    def forward(self) -> float:
        """The main figure: the mean over images of their errors."""
        return float(self.per_image.mean())

    @property
    def measures(self) -> dict[str, float]:
        """The figures of [MEASURES][lmkit.evaluation.measures.MEASURES], in percent."""
        return {name: measure.of(self.per_image) for name, measure in MEASURES.items()}

    @property
    def fit(self) -> str:
        """How what was shown of the images became square."""
        return self.framer.fit

    @property
    def crop(self) -> str | None:
        """What was shown of the images, where not all of them."""
        return None if self.framer.crop is None else str(self.framer.crop)

    @property
    def crop_from_annotation(self) -> bool:
        """Whether that was made from annotated points."""
        return self.framer.crop is not None and self.framer.crop.from_annotation

    @property
    def mean_shape(self) -> float:
        """The error of whoever does not look at the images."""
        return float(self.mean_shape_errors.mean())

    @property
    def untrained(self) -> float | None:
        """The error of the same network untrained; None if it is not known."""
        return None if self.controls.untrained is None else self.controls.untrained.nme

    @property
    def verdict(self) -> Verdict | None:
        """What the run comes to; None if that was not to be told."""
        if self.judgement is None:
            return None
        return self.judgement.verdict(self._beaten(), self.faults)

    @property
    def forward_per_point(self) -> list[float]:
        """The mean error of each annotated point, over the images where it is known; or NaN."""
        return [float(error) for error in mean_known(self.errors, axis=0)]

    @property
    def unit(self) -> str:
        """What the errors are measured in."""
        points = "points " if all(name.isdecimal() for name in self.normalised_by) else ""
        return f"percent of the distance between {points}{' and '.join(self.normalised_by)}"

    def warnings(self) -> list[str]:
        """Return what is wrong, a sentence each; nothing if all is well."""
        found = self.health.warnings()
        if self.faults.share >= TELLING:
            found.insert(0, f"{100 * self.faults.share:.0f} % of the images are at fault.")
        if self._beaten() is False:
            found.insert(0, "The error is no better than that of the same network untrained.")
        if self.forward >= self.mean_shape:
            found.insert(0, "The error is no better than that of the mean shape.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the figures of each image."""
        per_point = dict(zip(self.point_names, self.forward_per_point, strict=True))
        interval = {"low": self.interval.low, "high": self.interval.high}
        plain: dict[str, Any] = _finite(
            {
                "forward": {
                    "nme": self.forward,
                    **self.convention.to_dict(),
                    "per_point": per_point,
                    "interval": {**interval, "level": LEVEL, "resamples": RESAMPLES},
                },
                "with_bias": self._figure(self.with_bias),
                "without_bias": self._figure(self.without_bias),
                "by_convention": self.by_convention,
                "backward": {"nme": self.backward, "per_landmark": self.backward_per_landmark},
                "mean_shape": {"nme": self.mean_shape},
                "controls": self.controls.to_dict(),
                "measures": self.measures,
                "curve": self.curve.to_dict(),
                "stability": None if self.stability is None else self.stability.to_dict(),
                "labelled": [row.to_dict() for row in self.labelled],
                "health": {**self.health.to_dict(), "faults": self.faults.to_dict()},
                "label_free": None
                if self.judgement is None
                else self.judgement.to_dict(self._beaten(), self.faults),
                "reliability": None if self.reliability is None else self.reliability.to_dict(),
                "warnings": self.warnings(),
                "images": {
                    "fit": self.fit_images,
                    "test": self.test_images,
                    "test_complete": self.complete_images,
                    "without_pair": self.without_pair,
                },
                "unit": self.unit,
                "normalised_by": list(self.normalised_by),
                "crop": self.crop,
                "crop_from_annotation": self.crop_from_annotation,
                "fit": self.fit,
                "data": self.data,
                "step": self.step,
                "seed": self.seed,
                "unreadable": self.unreadable,
                "notes": [*self.notes, *self.remarks],
            }
        )
        return plain

    def write(self, folder: Path) -> list[Path]:
        """Write ``evaluation.json``, and ``errors.csv`` with a row for each test image.

        Args:
            folder: Where; it is made if it is not there.

        Returns:
            The two files.

        Raises:
            LmkitError: If they cannot be written.
        """
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        figures, errors = folder / EVALUATION, folder / "errors.csv"
        write_json(figures, self.to_dict())
        write_text(errors, self._table())
        return [figures, errors]

    def _beaten(self) -> bool | None:
        """Return whether the error beats the untrained network's; None if that is not known."""
        return None if self.controls.untrained is None else self.controls.untrained.beaten

    def _figure(self, convention: Convention) -> dict[str, Any]:
        return {"nme": self.by_convention[convention.name], **convention.to_dict()}

    def _table(self) -> str:
        """Return ``errors.csv``; a cell is empty where nothing is known."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "nme", *self.point_names])
        for key, mean, errors in zip(self.keys, self.per_image, self.errors, strict=True):
            # What a file name holds that is no text would otherwise be refused as UTF-8.
            name = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            cells = ("" if math.isnan(value) else f"{value:.6f}" for value in (mean, *errors))
            writer.writerow([name, *cells])
        return text.getvalue()


def folder_name(data: Mapping[str, Any]) -> str:
    """Return a name for data that a person can read and a file system holds.

    Args:
        data: The ``data`` section of settings. Different ones have different names.
    """
    text = json.dumps(data, sort_keys=True, default=str)
    digest = blake2b(text.encode(), digest_size=4).hexdigest()
    place = Path(str(data.get("path") or ""))
    # A file is most often called annotations.csv; its folder says whose.
    where = (place.parent.name, place.stem) if place.suffix else (place.name,)
    words = (str(data["name"]), *where)
    readable = "-".join(filter(None, (re.sub(r"[^A-Za-z0-9]+", "-", word) for word in words)))
    return f"{readable[:_LONGEST].strip('-').lower()}-{digest}"


def _finite(value: Any) -> Any:
    """Return JSON values with none for what is not a number, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
