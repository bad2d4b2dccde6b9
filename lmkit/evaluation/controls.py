"""Controls: what a network answers that has learnt nothing, and what points answer that never move.

An error says little by itself. Landmarks of a network at its initial weights follow brightness and
edges, and a linear map from them already predicts annotated points better than their mean does. So
the error of the same architecture, built from the run's settings and seed and not trained for one
step, stands beside the run's own.

Points that are the same on every image are the other end. A linear map from them gives the mean of
the annotated points, so that their forward error is the mean shape's; it predicts them without any
error, so that their backward error is 0; and only moving the image tells them from landmarks.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lmkit.data.unreadable import Unreadable
from lmkit.errors import LmkitError
from lmkit.evaluation.detections import Detections, detect_parts
from lmkit.evaluation.measures import Interval, bootstrap, mean_known
from lmkit.evaluation.stability import Stability, deviations, measure_stability, rotations
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.detector import Detector
from lmkit.points.linear import Array
from lmkit.prediction.stream import ready_to_detect
from lmkit.run.run import Run
from lmkit.runtime.assemble import build_detector, initialise
from lmkit.runtime.blame import blame
from lmkit.seeds import derive

IMAGES = 2_000
"""How many images of each part the untrained network looks at, at most, taken evenly: so that a
control never costs more than the same again, and little where there are very many images."""

WITHIN = 0.9
"""Fixed points are drawn within this share of the square."""

Errors = Callable[[Detections, Detections], tuple[Array, float | None]]
"""From what was found on images to fit on and to test with, to the error of each image in percent,
(N,), and the backward error, None where it cannot be had."""


class Untrained(Run):
    """A run as it was before its first step: the same settings, seed and initial weights."""

    @property
    def step(self) -> int:
        """0."""
        return 0

    @cached_property
    def detector(self) -> Detector:
        """The detector at its initial weights, pretrained ones included, in eval mode.

        Raises:
            LmkitError: If the weights it starts from cannot be had.
        """
        with torch.inference_mode(mode=False):
            detector = build_detector(self.settings, self.registry)
            with blame(f"detector '{self.settings.detector['name']}'", detector):
                initialise(detector, "detector")
            return ready_to_detect(detector, self.device)


def untrained(run: Run) -> Untrained:
    """Return a run as it was before its first step.

    Args:
        run: The run; its folder is read and not changed.
    """
    # What was read once is not read again, which could fail.
    return Untrained(run.folder, run.registry, str(run.device), run.record)


@dataclass(frozen=True, slots=True)
class UntrainedError:
    """The error of the same architecture at its initial weights.

    Args:
        nme: Of annotated points predicted from its landmarks, by the main convention, in percent.
        backward: Of its landmarks predicted from annotated points; small also where they hardly
            move.
        stability: How its landmarks follow a known rotation; None if not measured.
        run: The run's own error on the same images; the main figure, where the control saw them
            all.
        difference: Confidence interval of the run's error less the control's, over the images.
        fit_images: Images its regressor was fitted on.
        test_images: Images it was tested on.
    """

    nme: float
    backward: float | None
    stability: Stability | None
    run: float
    difference: Interval
    fit_images: int
    test_images: int

    @property
    def beaten(self) -> bool:
        """Whether the run's error is smaller, beyond what the choice of test images explains."""
        return self.difference.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "nme": self.nme,
            "backward": {"nme": self.backward},
            "stability": None if self.stability is None else self.stability.to_dict(),
            "run": self.run,
            "difference": {"low": self.difference.low, "high": self.difference.high},
            "beaten": self.beaten,
            "images": {"fit": self.fit_images, "test": self.test_images},
        }


@dataclass(frozen=True, slots=True)
class FixedPoints:
    """What points that are the same on every image come to.

    Args:
        nme: Their forward error in percent: the mean shape's.
        backward: Their backward error in percent: 0.
        stability: How far they fail to follow a known rotation, in pixels of 128; None if not
            measured.
    """

    nme: float
    backward: float | None
    stability: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of an evaluation.

    Args:
        untrained: None where it was not to be measured, or could not be.
        fixed_points: None where it was not to be measured.
        remark: Why the untrained network could not be measured; None otherwise.
    """

    untrained: UntrainedError | None = None
    fixed_points: FixedPoints | None = None
    remark: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "untrained": None if self.untrained is None else self.untrained.to_dict(),
            "fixed_points": None if self.fixed_points is None else self.fixed_points.to_dict(),
        }


def measure_controls(
    run: Run,
    dataset: Dataset,
    fitting: Detections,
    testing: Detections,
    errors: Errors,
    *,
    images: int,
    turned: int,
    seed: int,
    batch_size: int,
    unreadable: Unreadable,
    progress: Callable[[int], None] = lambda done: None,
) -> Controls:
    """Measure what an untrained network and fixed points come to, on the images of a run.

    Args:
        run: The run.
        dataset: The images.
        fitting: What the run found on the images to fit on.
        testing: What it found on those to test with.
        errors: Measures errors, as for the run.
        images: How many of each part to look at, at most.
        turned: How many test images to turn, as for the run's stability; 0 to leave that out.
        seed: Decides every random draw.
        batch_size: Images at a time.
        unreadable: Collects images that cannot be read this time.
        progress: Called with the number of images done.
    """
    fixed = _fixed_points(fitting, testing, errors, turned, seed)
    try:
        before = untrained(run)
        _ = before.predictor
    except LmkitError as error:
        return Controls(None, fixed, f"There is no untrained control: {error.problem}")
    rows = [_evenly(part, images) for part in (fitting, testing)]
    own_fit, own_test = detect_parts(
        before,
        dataset,
        rows[0].indices,
        rows[1].indices,
        batch_size=batch_size,
        unreadable=unreadable,
        progress=progress,
    )
    done = len(own_fit) + len(own_test)
    stability = None
    if turned:
        stability = measure_stability(
            before,
            dataset,
            own_test,
            images=turned,
            seed=seed,
            batch_size=batch_size,
            unreadable=unreadable,
            progress=lambda more: progress(done + more),
        )
    # The same images for both, also where one could be read just once.
    fit, test = _same(rows[0], own_fit), _same(rows[1], own_test)
    control, backward = errors(own_fit, own_test)
    own, _ = errors(fit, test)
    difference = bootstrap(own - control, seed=derive(seed, "controls"))
    return Controls(
        UntrainedError(
            nme=float(control.mean()),
            backward=backward,
            stability=stability,
            run=float(own.mean()),
            difference=difference,
            fit_images=len(own_fit),
            test_images=len(own_test),
        ),
        fixed,
    )


def fixed_points(count: int, seed: int) -> Array:
    """Return points that are the same on every image, (K, 2) in [-1, 1].

    Args:
        count: How many.
        seed: Decides where.
    """
    generator = np.random.default_rng(derive(seed, "fixed points"))
    return generator.uniform(-WITHIN, WITHIN, (count, 2))


def _fixed_points(
    fitting: Detections, testing: Detections, errors: Errors, turned: int, seed: int
) -> FixedPoints:
    points = fixed_points(fitting.found.shape[1], seed)
    still = [
        replace(part, found=np.broadcast_to(points, (len(part), *points.shape)).copy())
        for part in (fitting, testing)
    ]
    own, backward = errors(*still)
    stability = None
    if turned:
        keys = _evenly(testing, turned).keys
        found = torch.from_numpy(points).float().expand(len(keys), -1, -1)
        moved = deviations(found, found, rotations(keys, seed))
        stability = float(mean_known(moved.reshape(-1), axis=0))
    return FixedPoints(float(own.mean()), backward, stability)


def _evenly(part: Detections, wanted: int) -> Detections:
    count = min(len(part), wanted)
    return part.take(np.arange(count) * len(part) // count)


def _same(part: Detections, others: Detections) -> Detections:
    """Return what was found on the images of others, in their order."""
    rows = {index: row for row, index in enumerate(part.indices)}
    return part.take(np.asarray([rows[index] for index in others.indices], np.int64))
