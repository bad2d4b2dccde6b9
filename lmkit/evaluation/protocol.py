"""The protocol: a linear map from landmarks to annotated points, fitted and tested apart.

The map is fitted in the coordinates of the square that the detector sees, and errors are measured
in pixels of the original images, as shares of the inter-ocular distance. The mean shape (the
prediction of whoever does not look at the image) is always measured beside it: a crop made from
annotation leaks the answer, and the mean shape's error shows how much. So is, unless it is left
out, the same network untrained, which shows how much of an error training is to be thanked for.

Annotation may be partial. Each point is fitted and tested on the images where it is known; an
image's error is the mean of its known points, and every figure is a mean over images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.data.unreadable import Unreadable
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation import controls, label_free
from lmkit.evaluation.controls import Controls, measure_controls
from lmkit.evaluation.detections import Detections, detect_parts, mean_shape
from lmkit.evaluation.faults import find_faults
from lmkit.evaluation.label_free import Judgement, judge_run
from lmkit.evaluation.labelled import DRAWS, NUMBERS, few_labelled
from lmkit.evaluation.landmarks import examine_landmarks, explained_variance
from lmkit.evaluation.measures import (
    Curve,
    bootstrap,
    image_errors,
    mean_known,
    normalised_errors,
    normalising_distance,
)
from lmkit.evaluation.regression import CONVENTIONS, JAKAB2018, LMKIT, Convention
from lmkit.evaluation.reliability import landmark_errors, reliability_of
from lmkit.evaluation.report import EvaluationReport
from lmkit.evaluation.stability import IMAGES, measure_stability
from lmkit.interfaces.dataset import Dataset
from lmkit.points.linear import Array, complete, ever_known, known_points
from lmkit.preparation.prepared import Prepared
from lmkit.run.run import Run
from lmkit.seeds import derive


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is measured, and how.

    Args:
        convention: How annotated points are predicted: the main figure's.
        pair: The two points whose distance normalises; the data's if not given.
        threshold: The error, in percent, above which an image counts as a failure.
        labelled: Numbers of labelled images to fit on; none to leave that out.
        draws: Random draws of each, where the convention does not say.
        stability: How many test images to turn; 0 to leave that out.
        controls: How many images of each part the untrained network looks at, at most; 0 to leave
            controls out.
        label_free: How many test images to look at for what needs no annotation, at most; 0 to
            leave that out.
        seed: Decides every random draw.
    """

    convention: Convention = LMKIT
    pair: tuple[int, int] | None = None
    threshold: float = 10.0
    labelled: tuple[int, ...] = NUMBERS
    draws: int = DRAWS
    stability: int = IMAGES
    controls: int = controls.IMAGES
    label_free: int = label_free.IMAGES
    seed: int = 0


FULL = Protocol()
"""Everything, as ``lmkit evaluate`` does."""
QUICK = Protocol(labelled=(), stability=0, label_free=label_free.IMAGES // 2)
"""What costs little more than finding landmarks once, and once by the untrained network."""
PLAIN = Protocol(labelled=(), stability=0, controls=0, label_free=0)
"""What costs no more than finding landmarks once."""


def evaluate(
    run: Run,
    ready: Prepared,
    protocol: Protocol = FULL,
    *,
    data: str | None = None,
    batch_size: int = 64,
    progress: ProgressCallback = lambda done, total: None,
) -> EvaluationReport:
    """Measure a run's detector.

    Args:
        run: The run.
        ready: Annotated data, divided: the regressor is fitted on its images to fit, and errors are
            measured on those to test.
        protocol: What is measured, and how.
        data: What to call the data in the report; its kind and place if not given.
        batch_size: Images the detector sees at a time; it is in eval mode, so that this
            changes nothing.
        progress: Called with the number of images done, and of all.

    Raises:
        LmkitError: If the data has no annotated points to fit or to test, or too many images
            cannot be read.
    """
    dataset, split = ready.dataset, ready.split
    data = ready.settings.data_label if data is None else data
    pair = dataset.normalising_pair if protocol.pair is None else protocol.pair
    unreadable = Unreadable(ready.settings.loading.max_unreadable)
    fit = _annotated(dataset, split.fit, data, "fit")
    test = _annotated(dataset, split.test, data, "test")
    measurable = _with_pair(dataset, test, pair, data)
    turned = min(protocol.stability, len(measurable))
    looked_at = min(protocol.label_free, len(measurable))
    found = len(fit) + len(measurable)
    again = sum(min(protocol.controls, len(part)) for part in (fit, measurable))
    again += turned if again else 0
    total = found + turned + again + looked_at

    def told(before: int) -> Callable[[int], None]:
        return lambda done: progress(before + done, total)

    fitting, testing = detect_parts(
        run,
        dataset,
        fit,
        measurable,
        batch_size=batch_size,
        unreadable=unreadable,
        progress=told(0),
        confidence=True,
    )
    unreadable.check(found, all_read=True)
    stability = None
    if turned:
        stability = measure_stability(
            run,
            dataset,
            testing,
            images=turned,
            seed=protocol.seed,
            batch_size=batch_size,
            unreadable=unreadable,
            progress=told(found),
        )
    testing = _measurable(fitting, testing, data)
    beside = Controls()
    if again:
        beside = measure_controls(
            run,
            dataset,
            fitting,
            testing,
            partial(_both_ways, protocol.convention, pair),
            images=protocol.controls,
            turned=turned,
            seed=protocol.seed,
            batch_size=batch_size,
            unreadable=unreadable,
            progress=told(found + turned),
        )
    judgement: Judgement | None = None
    if looked_at:
        judgement = judge_run(
            run,
            dataset,
            testing.indices,
            images=looked_at,
            controls=bool(again),
            seed=protocol.seed,
            batch_size=batch_size,
            unreadable=unreadable,
            progress=told(found + turned + again),
        )
    names = list(dataset.point_names)
    return EvaluationReport(
        **_figures(fitting, testing, names, pair, protocol),
        stability=stability,
        controls=beside,
        judgement=judgement,
        without_pair=len(test) - len(measurable),
        point_names=names,
        normalised_by=(names[pair[0]], names[pair[1]]),
        framer=run.framer,
        data=data,
        step=run.step,
        seed=protocol.seed,
        unreadable=len(unreadable),
        notes=[*ready.notes(), *([beside.remark] if beside.remark else [])],
    )


def _figures(
    fitting: Detections,
    testing: Detections,
    names: Sequence[str],
    pair: tuple[int, int],
    protocol: Protocol,
) -> dict[str, Any]:
    """Return what follows from the landmarks that were found: fields of the report."""
    main = protocol.convention
    predicted = _forward(main, fitting, testing)
    errors = 100 * normalised_errors(predicted, testing.truth, pair)
    per_image = mean_known(errors, axis=1)
    back = _backward(main, fitting, testing, pair)
    backward, consistency = (None, None) if back is None else back
    found = testing.to_pixels(testing.found)
    return {
        "keys": testing.keys,
        "indices": testing.indices,
        "errors": errors,
        "predictions": predicted,
        "truth": testing.truth,
        "detections": found,
        "convention": main,
        "by_convention": {
            name: float(image_errors(_forward(each, fitting, testing), testing.truth, pair).mean())
            for name, each in CONVENTIONS.items()
        },
        "with_bias": main if main.bias else LMKIT,
        "without_bias": JAKAB2018 if main.bias else main,
        "interval": bootstrap(per_image, seed=derive(protocol.seed, "bootstrap")),
        "backward": None if backward is None else float(backward.mean()),
        "backward_per_landmark": None if backward is None else backward.tolist(),
        "mean_shape_errors": image_errors(mean_shape(fitting, testing), testing.truth, pair),
        "curve": Curve.of(per_image, protocol.threshold),
        "labelled": few_labelled(
            fitting,
            testing,
            pair,
            main,
            numbers=protocol.labelled,
            draws=protocol.draws,
            seed=protocol.seed,
        ),
        "health": examine_landmarks(testing.found, found, testing.truth, pair, consistency),
        "faults": find_faults(testing.found),
        "reliability": reliability_of(main, fitting, testing, pair),
        "fit_images": len(fitting),
        "test_images": len(testing),
        "complete_images": int(complete(testing.truth).sum()),
        "remarks": _remarks(fitting, names, back),
    }


def _annotated(dataset: Dataset, indices: Sequence[int], data: str, part: str) -> list[int]:
    """Return the images that have any point."""
    if not indices and part == "test":
        raise LmkitError(
            f"{data} has no image to test with: none is held out.",
            remedy="Evaluate on other data with --data.",
            code=ExitCode.DATA,
        )
    annotated = [index for index in indices if _known(dataset, index).any()]
    if not annotated:
        raise LmkitError(
            f"{data} has no annotated image to {part} with.",
            remedy="Evaluate on data with points: --data faces, csv:FILE or celeba:DIR.",
            code=ExitCode.DATA,
        )
    return annotated


def _with_pair(
    dataset: Dataset, test: Sequence[int], pair: tuple[int, int], data: str
) -> list[int]:
    """Return the test images whose normalising distance is known and not 0."""
    kept = []
    for index in test:
        points = dataset.annotation(index).points
        if points is not None:
            distance = normalising_distance(np.asarray(points, np.float64)[None], pair)[0]
            if np.isfinite(distance) and distance > 0:
                kept.append(index)
    if not kept:
        first, second = (dataset.point_names[point] for point in pair)
        raise LmkitError(
            f"No test image of {data} has both points that errors are normalised by, "
            f"{first} and {second}, in different places.",
            remedy="Choose two others with --normalise-by.",
            code=ExitCode.DATA,
        )
    return kept


def _known(dataset: Dataset, index: int) -> NDArray[np.bool_]:
    """Return which points of an image are known, (P,) or, where it has none, (0,)."""
    points = dataset.annotation(index).points
    return np.zeros(0, bool) if points is None else known_points(np.asarray(points, np.float64))


def _measurable(fitting: Detections, testing: Detections, data: str) -> Detections:
    """Leave out test images none of whose points is known in any image to fit on."""
    fitted = ever_known(fitting.truth)
    rows = np.asarray((known_points(testing.truth) & fitted).any(axis=1))
    if not rows.any():
        raise LmkitError(
            f"No point of {data} is known both in an image to fit on and in one to test with.",
            remedy="Evaluate on data whose parts have points in common.",
            code=ExitCode.DATA,
        )
    return testing.take(rows)


def _forward(convention: Convention, fitting: Detections, testing: Detections) -> Array:
    """Predict the annotated points of the test images, in their pixels."""
    predicted = convention.predict(fitting.found, fitting.truth_in_square(), testing.found)
    return testing.to_pixels(predicted)


def _backward(
    convention: Convention, fitting: Detections, testing: Detections, pair: tuple[int, int]
) -> tuple[Array, list[float]] | None:
    """Predict landmarks from annotated points, on the images that have all of them.

    Returns:
        The error of each landmark in percent, (K,), and the share of its variance that is
        explained; None where there are too few such images to fit, or none to test.
    """
    parts = landmark_errors(convention, fitting, testing, pair)
    if parts is None:
        return None
    predicted, tested = parts.predicted, parts.testing
    return 100 * parts.test_errors.mean(axis=0), explained_variance(predicted, tested.found)


def _both_ways(
    convention: Convention, pair: tuple[int, int], fitting: Detections, testing: Detections
) -> tuple[Array, float | None]:
    """Return the error of each test image in percent, (N,), and the backward error."""
    errors = image_errors(_forward(convention, fitting, testing), testing.truth, pair)
    back = _backward(convention, fitting, testing, pair)
    return errors, None if back is None else float(back[0].mean())


def _remarks(fitting: Detections, names: Sequence[str], backward: object) -> list[str]:
    """Return what annotation that is partial does to the figures, a sentence each."""
    whole = complete(fitting.truth)
    fitted = ever_known(fitting.truth)
    never = [name for name, known in zip(names, fitted, strict=True) if not known]
    remarks = []
    if never:
        remarks.append(f"Known in no image to fit on, and not measured: {', '.join(never)}.")
    if not whole.all():
        remarks.append(
            "Some points are not known in some images: each is fitted and tested where it is, "
            f"and few labelled images are drawn from the {whole.sum()} to fit on "
            "that have all."
        )
    if backward is None:
        remarks.append(
            "Too few images have all their points to predict landmarks from them: no backward "
            "error."
        )
    return remarks
