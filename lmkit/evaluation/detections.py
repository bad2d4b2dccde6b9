"""What a detector found on annotated images: one pass over each, kept for every measure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.measures import mean_known
from lmkit.geometry.coordinates import normalise, spread
from lmkit.interfaces.dataset import Dataset
from lmkit.points.linear import Array
from lmkit.prediction.sources import DatasetImages
from lmkit.prediction.stream import Detection, stream
from lmkit.run.run import Run


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found on annotated images, beside the annotation.

    Args:
        found: (N, K, 2), landmarks in [-1, 1] of the square image.
        truth: (N, P, 2), annotated points in pixels of the original image; NaN where not known.
        corners: (N, 2, 2), where the upper left and the lower right corner of the square, (-1, -1)
            and (1, 1), lie in pixels of the original image.
        indices: The images' numbers in the data.
        keys: The images' names.
        confidence: (N, K), in [0, 1], of the landmarks; None if it was not asked for, or the
            detector tells none.
    """

    found: Array
    truth: Array
    corners: Array
    indices: list[int]
    keys: list[str]
    confidence: Array | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def truth_in_square(self) -> Array:
        """Return the annotated points in [-1, 1] of the square image, (N, P, 2)."""
        first, last = self.corners[:, :1], self.corners[:, 1:]
        return normalise(self.truth, first, last)

    def to_pixels(self, points: Array) -> Array:
        """Convert (N, P, 2) in [-1, 1] of the squares to pixels of the original images."""
        first, last = self.corners[:, :1], self.corners[:, 1:]
        return spread(points, first, last)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Detections":
        """Return some of the images."""
        numbers = np.arange(len(self))[rows]
        return Detections(
            self.found[numbers],
            self.truth[numbers],
            self.corners[numbers],
            [self.indices[number] for number in numbers],
            [self.keys[number] for number in numbers],
            None if self.confidence is None else self.confidence[numbers],
        )


def detect_all(
    run: Run,
    dataset: Dataset,
    indices: Sequence[int],
    *,
    batch_size: int,
    unreadable: Unreadable,
    confidence: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Detections:
    """Find the landmarks of annotated images.

    Args:
        run: Whose detector.
        dataset: The images.
        indices: Which of them; all annotated.
        batch_size: Images at a time.
        unreadable: Collects those that cannot be read.
        confidence: Whether that of the landmarks is kept too.
        progress: Called with the number of images done.

    Raises:
        LmkitError: If none of them can be read.
    """
    found: list[Detection] = []
    for each in stream(
        run.predictor,
        DatasetImages(dataset, indices, annotated=True),
        unreadable=unreadable.add,
        batch_size=batch_size,
        only=("confidence",) if confidence else (),
    ):
        found.append(each)
        progress(len(found))
    if not found:
        raise LmkitError(
            f"None of {len(indices)} annotated images can be read.",
            remedy="Check that the images are where the data says.",
            code=ExitCode.DATA,
        )
    read = [each.item for each in found]
    sure = [each.found.confidence for each in found if each.found.confidence is not None]
    return Detections(
        np.concatenate([each.found.points.numpy() for each in found]).astype(np.float64),
        np.asarray([dataset.annotation(index).points for index in read], dtype=np.float64),
        np.stack([each.framing.to_pixels([[-1, -1], [1, 1]]) for each in found]),
        read,
        [each.name for each in found],
        np.concatenate([each.numpy() for each in sure]).astype(np.float64) if sure else None,
    )


def detect_parts(
    run: Run,
    dataset: Dataset,
    fit: Sequence[int],
    test: Sequence[int],
    *,
    batch_size: int,
    unreadable: Unreadable,
    progress: Callable[[int], None],
    confidence: bool = False,
) -> tuple[Detections, Detections]:
    """Find the landmarks of the images to fit on, and then of those to test with.

    Args:
        run: Whose detector.
        dataset: The images.
        fit: Those to fit on; all annotated.
        test: Those to test with; all annotated.
        batch_size: Images at a time.
        unreadable: Collects those that cannot be read.
        progress: Called with the number of images done, of both parts together.
        confidence: Whether that of the landmarks is kept too.

    Raises:
        LmkitError: If none of either can be read.
    """
    fitting, testing = (
        detect_all(
            run,
            dataset,
            part,
            batch_size=batch_size,
            unreadable=unreadable,
            confidence=confidence,
            progress=lambda done, before=before: progress(before + done),  # type: ignore[misc]
        )
        for part, before in ((fit, 0), (test, len(fit)))
    )
    return fitting, testing


def mean_shape(fitting: Detections, testing: Detections) -> Array:
    """Return the mean annotated points of some images, in pixels of others, (N, P, 2)."""
    mean = mean_known(fitting.truth_in_square(), axis=0)
    return testing.to_pixels(np.broadcast_to(mean, testing.truth.shape))
