"""The direct error: a detector's own points against the annotated ones, with no map in between.

It is for detectors that learned the annotated points, one a landmark. The mean shape's error stands
beside it, as beside every error.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmkit.data.unreadable import Unreadable
from lmkit.evaluation.detections import detect_parts, mean_shape
from lmkit.evaluation.measures import image_errors, mean_known, normalised_errors
from lmkit.interfaces.dataset import Dataset
from lmkit.preparation.prepared import Prepared
from lmkit.run.run import Run

MEAN_OF = 1_000
"""How many training images, taken evenly, the mean shape is averaged over."""


@dataclass(frozen=True, slots=True)
class DirectReport:
    """The direct error; every error in percent of the normalising distance.

    Args:
        direct: Of the detector's points, a mean over images.
        per_point: The same for each annotated point; None where it is known in no test image.
        mean_shape: Of predicting the mean annotated points of training images.
        fit_images: Images that the mean shape was averaged over.
        test_images: Images it was tested on.
        normalised_by: The two points whose distance is 100 %.
        step: The training step of the checkpoint.
    """

    direct: float
    per_point: dict[str, float | None]
    mean_shape: float
    fit_images: int
    test_images: int
    normalised_by: tuple[str, str]
    step: int

    @property
    def unit(self) -> str:
        """What the errors are measured in."""
        return "percent of the distance between " + " and ".join(self.normalised_by)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain = asdict(self)
        del plain["normalised_by"]
        return {
            "direct": {"nme": plain.pop("direct"), "per_point": plain.pop("per_point")},
            "mean_shape": {"nme": plain.pop("mean_shape")},
            "images": {"fit": plain.pop("fit_images"), "test": plain.pop("test_images")},
            "unit": self.unit,
            **plain,
        }


def measure_direct(
    run: Run,
    ready: Prepared,
    *,
    batch_size: int = 64,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DirectReport | None:
    """Measure a run whose landmarks are the annotated points, on its own held-out images.

    Args:
        run: The run.
        ready: Its own data.
        batch_size: Images at a time; it changes nothing.
        progress: Called with the number of images done, and of all.

    Returns:
        The report; None where no held-out image has both points that normalise.

    Raises:
        LmkitError: If too many images cannot be read.
    """
    dataset, pair = ready.dataset, ready.dataset.normalising_pair
    test = [index for index in ready.split.test if _has(dataset, index, pair)]
    fit = [index for index in ready.split.fit if _has(dataset, index, ())]
    count = min(len(fit), MEAN_OF)
    fit = [fit[number * len(fit) // count] for number in range(count)]
    if not test or not fit:
        return None
    total = len(fit) + len(test)
    unreadable = Unreadable(ready.settings.loading.max_unreadable)

    fitting, testing = detect_parts(
        run,
        dataset,
        fit,
        test,
        batch_size=batch_size,
        unreadable=unreadable,
        progress=lambda done: progress(done, total),
    )
    unreadable.check(total, all_read=True)
    found = testing.to_pixels(testing.found)
    shape = mean_shape(fitting, testing)
    errors = 100 * mean_known(normalised_errors(found, testing.truth, pair), axis=0)
    names = dataset.point_names
    return DirectReport(
        direct=float(image_errors(found, testing.truth, pair).mean()),
        per_point={
            name: float(error) if np.isfinite(error) else None
            for name, error in zip(names, errors, strict=True)
        },
        mean_shape=float(mean_known(image_errors(shape, testing.truth, pair), axis=0)),
        fit_images=len(fitting),
        test_images=len(testing),
        normalised_by=(names[pair[0]], names[pair[1]]),
        step=run.step,
    )


def _has(dataset: Dataset, index: int, wanted: tuple[int, ...]) -> bool:
    """Whether an image has annotation, with these points of it known and in different places."""
    points = dataset.annotation(index).points
    if points is None:
        return False
    chosen = np.asarray(points, np.float64)[list(wanted)]
    return bool(np.isfinite(chosen).all()) and len(np.unique(chosen, axis=0)) == len(wanted)
