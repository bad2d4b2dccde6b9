"""The protocol: a linear map from landmarks to annotated points, fitted and tested apart.

The map is fitted in the coordinates of the square that the detector sees, and errors are measured
in pixels of the original pictures, as shares of the inter-ocular distance. The mean shape (the
prediction of whoever does not look at the picture) is always measured beside it: a crop made from
annotation leaks the answer, and the mean shape's error shows how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmkit.data.loading import read_pictures
from lmkit.data.pictures import Framing
from lmkit.data.unreadable import Unreadable
from lmkit.engine.train import workers_for
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.regression import (
    Array,
    LinearMap,
    distances,
    normalised_errors,
    normalising_distance,
)
from lmkit.interfaces.dataset import Dataset
from lmkit.run import Run


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found on annotated pictures, beside the annotation.

    Args:
        found: (N, K, 2), landmarks in [-1, 1] of the square picture.
        truth: (N, P, 2), annotated points in pixels of the original picture.
        framings: How each picture became square.
        keys: The pictures' names.
    """

    found: Array
    truth: Array
    framings: list[Framing]
    keys: list[str]

    def truth_in_square(self) -> Array:
        """Return the annotated points in [-1, 1] of the square picture, (N, P, 2)."""
        pairs = zip(self.framings, self.truth, strict=True)
        return np.stack([framing.to_normalised(points) for framing, points in pairs])

    def to_pixels(self, points: Array) -> Array:
        """Convert (N, P, 2) in [-1, 1] of the squares to pixels of the original pictures."""
        pairs = zip(self.framings, points, strict=True)
        return np.stack([framing.to_pixels(own) for framing, own in pairs])


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an evaluation; every error in percent of the normalising distance.

    Args:
        forward: NME of annotated points predicted from landmarks, with bias.
        forward_per_point: The same for each annotated point.
        backward: NME of landmarks predicted from annotated points, as Sanchez and Tzimiropoulos
            2019 define it: it is small if each landmark keeps its place on the object.
        mean_shape: NME of predicting the mean annotated points of the fitting pictures.
        fit_images: Pictures the regressor was fitted on.
        test_images: Pictures it was tested on.
        point_names: The annotated points.
        normalised_by: The two points whose distance is 100 %.
        crop: What was shown of the pictures, where not all of them.
        crop_from_annotation: Whether that was made from annotated points.
        fit: How pictures became square.
        data: The data, as chosen.
        step: The training step of the checkpoint.
        unreadable: Pictures left out because they could not be read.
    """

    forward: float
    forward_per_point: list[float]
    backward: float
    mean_shape: float
    fit_images: int
    test_images: int
    point_names: list[str]
    normalised_by: tuple[str, str]
    crop: str | None
    crop_from_annotation: bool
    fit: str
    data: str
    step: int
    unreadable: int

    @property
    def unit(self) -> str:
        """What the errors are measured in."""
        return "percent of the distance between " + " and ".join(self.normalised_by)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain = asdict(self)
        per_point = dict(zip(self.point_names, plain.pop("forward_per_point"), strict=True))
        del plain["normalised_by"]
        return {
            "forward": {"nme": plain.pop("forward"), "bias": True, "per_point": per_point},
            "backward": {"nme": plain.pop("backward")},
            "mean_shape": {"nme": plain.pop("mean_shape")},
            "images": {"fit": plain.pop("fit_images"), "test": plain.pop("test_images")},
            "unit": self.unit,
            **plain,
        }


def evaluate(
    run: Run,
    dataset: Dataset,
    fit: Sequence[int],
    test: Sequence[int],
    *,
    data: str,
    max_unreadable: float | None = None,
    batch_size: int = 64,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Measure a run's detector.

    Args:
        run: The run.
        dataset: Annotated pictures.
        fit: Those to fit the regressor on.
        test: Those to measure errors on.
        data: What to call the data in the report.
        max_unreadable: The share of pictures, in [0, 1), that may be unreadable; the run's if not
            given.
        batch_size: Pictures the detector sees at a time; it is in eval mode, so that this
            changes nothing.
        progress: Called with the number of pictures done, and of all.

    Raises:
        LmkitError: If the data has no annotated points to fit or to test, or too many pictures
            cannot be read.
    """
    own_limit = run.settings.loading.max_unreadable
    unreadable = Unreadable(own_limit if max_unreadable is None else max_unreadable)
    total = len(fit) + len(test)
    parts = []
    for indices, name, before in ((fit, "fit", 0), (test, "test", len(fit))):
        annotated = [index for index in indices if _is_annotated(dataset, index)]
        if not indices and name == "test":
            raise LmkitError(
                f"{data} has no picture to test with: none is held out.",
                remedy="Evaluate on other data with --data.",
                code=ExitCode.DATA,
            )
        if not annotated:
            raise LmkitError(
                f"{data} has no annotated picture to {name} with.",
                remedy="Evaluate on data with points: --data faces, csv:FILE or celeba:DIR.",
                code=ExitCode.DATA,
            )
        parts.append(
            detect_all(
                run,
                dataset,
                annotated,
                batch_size=batch_size,
                unreadable=unreadable,
                progress=lambda done, before=before: progress(before + done, total),  # type: ignore[misc]
            )
        )
    unreadable.check(total)
    fitted, tested = parts
    pair = dataset.normalising_pair
    errors = normalised_errors(
        tested.to_pixels(LinearMap(fitted.found, fitted.truth_in_square())(tested.found)),
        tested.truth,
        pair,
    )
    back = LinearMap(fitted.truth_in_square(), fitted.found)(tested.truth_in_square())
    backward = distances(tested.to_pixels(back), tested.to_pixels(tested.found))
    mean = np.broadcast_to(fitted.truth_in_square().mean(axis=0), tested.truth.shape)
    mean_shape = normalised_errors(tested.to_pixels(mean), tested.truth, pair)
    names = list(dataset.point_names)
    return Report(
        forward=_percent(errors),
        forward_per_point=[_percent(errors[:, point]) for point in range(len(names))],
        backward=_percent(backward / normalising_distance(tested.truth, pair)[:, None]),
        mean_shape=_percent(mean_shape),
        fit_images=len(fitted.keys),
        test_images=len(tested.keys),
        point_names=names,
        normalised_by=(names[pair[0]], names[pair[1]]),
        crop=None if run.framer.crop is None else str(run.framer.crop),
        crop_from_annotation=run.framer.crop is not None and run.framer.crop.from_annotation,
        fit=run.settings.loading.fit,
        data=data,
        step=run.step,
        unreadable=len(unreadable),
    )


def detect_all(
    run: Run,
    dataset: Dataset,
    indices: Sequence[int],
    *,
    batch_size: int,
    unreadable: Unreadable,
    progress: Callable[[int], None] = lambda done: None,
) -> Detections:
    """Find the landmarks of annotated pictures.

    Args:
        run: Whose detector.
        dataset: The pictures.
        indices: Which of them; all annotated.
        batch_size: Pictures at a time.
        unreadable: Collects those that cannot be read.
        progress: Called with the number of pictures done.

    Raises:
        LmkitError: If none of them can be read.
    """
    found, truth, framings, keys = [], [], [], []
    batches = read_pictures(
        dataset,
        indices,
        framer=run.framer,
        batch_size=batch_size,
        workers=workers_for(run.settings.loading.workers, run.device),
        unreadable=unreadable,
    )
    for batch in batches:
        found.append(run.detect(batch.images).points.numpy())
        truth += [dataset.annotation(index).points for index in batch.indices]
        framings += batch.framings
        keys += [dataset.key(index) for index in batch.indices]
        progress(len(keys))
    if not found:
        raise LmkitError(
            f"None of {len(indices)} annotated pictures can be read.",
            remedy="Check that the pictures are where the data says.",
            code=ExitCode.DATA,
        )
    return Detections(
        np.concatenate(found).astype(np.float64),
        np.asarray(truth, dtype=np.float64),
        framings,
        keys,
    )


def _is_annotated(dataset: Dataset, index: int) -> bool:
    points = dataset.annotation(index).points
    return points is not None and bool(np.isfinite(points).all())


def _percent(errors: Array) -> float:
    return float(100 * errors.mean())
