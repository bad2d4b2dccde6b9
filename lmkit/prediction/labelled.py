"""Landmarks of labelled images, beside the labels: what a map to named points is fitted to."""

from collections.abc import Callable

import numpy as np

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.points.fitting import LabelledLandmarks
from lmkit.prediction.sources import DatasetImages
from lmkit.prediction.stream import Predictor, Refuse, stream


def find_labelled(
    predictor: Predictor,
    dataset: Dataset,
    *,
    unreadable: Refuse,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> LabelledLandmarks:
    """Find the landmarks of all images that have a labelled point, framed as in prediction.

    Images that the data holds out for testing are left out.

    Args:
        predictor: The detector.
        dataset: The images.
        unreadable: Told of each image that cannot be read; it is left out.
        batch_size: Images at a time.
        workers: The number of processes that read; the predictor's own if not given.
        progress: Called with the number of images done, and of all.

    Raises:
        LmkitError: If no image has a labelled point, or none that has one can be read.
    """
    labelled = _labelled(dataset)
    source = DatasetImages(dataset, labelled)
    found, truth, keys, groups = [], [], [], []
    numbers: dict[str, int] = {}
    for each in stream(
        predictor,
        source,
        unreadable=unreadable,
        batch_size=batch_size,
        workers=workers,
        only=(),
    ):
        found.append(each.found.points[0].numpy().astype(np.float64))
        truth.append(each.framing.to_normalised(dataset.annotation(each.item).points))  # type: ignore[arg-type]
        keys.append(each.name)
        group = dataset.group(each.item)
        # One that stands alone is a group of its own.
        name = f"alone\x00{each.name}" if group is None else f"group\x00{group}"
        groups.append(numbers.setdefault(name, len(numbers)))
        progress(len(keys), len(labelled))
    if not found:
        raise LmkitError(
            f"None of {len(labelled)} labelled images can be read.",
            remedy="Check that the images are where the data says.",
            code=ExitCode.DATA,
        )
    return LabelledLandmarks(np.stack(found), np.stack(truth), keys, np.asarray(groups))


def _labelled(dataset: Dataset) -> list[int]:
    held_out = set(dataset.indices("test") or ())
    labelled = []
    for index in range(len(dataset)):
        points = dataset.annotation(index).points
        if points is not None and np.isfinite(points).all(axis=-1).any() and index not in held_out:
            labelled.append(index)
    if not labelled:
        raise LmkitError(
            f"None of the {len(dataset)} images has a labelled point"
            + (" outside of the data's part for testing." if held_out else "."),
            remedy="Fill in the coordinates of a few; lmkit suggest names the images most worth "
            "labelling and writes a sheet for them.",
            code=ExitCode.DATA,
        )
    return labelled
