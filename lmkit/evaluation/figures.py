"""Images of an evaluation: landmarks on many faces, the best and the worst, and two charts.

The drawing takes plain arrays; only [write_figures][lmkit.evaluation.figures.write_figures] knows
of reports.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lmkit.drawing as drawing
from lmkit.data.framing import Framer, Framing
from lmkit.data.loading import read_images
from lmkit.data.unreadable import Unreadable
from lmkit.evaluation.charts import (
    MEAN_SHAPE,
    can_plot,
    plot_cumulative,
    plot_labelled,
    plot_reliability,
)
from lmkit.evaluation.measures import Curve
from lmkit.evaluation.report import EvaluationReport
from lmkit.interfaces.dataset import Dataset
from lmkit.storage import storage

_Images = Sequence[NDArray[np.uint8]]

FACE_SIDE = 160
"""Side of a face on the sheet of landmarks, in pixels."""
LARGE_SIDE = 224
"""Side of a face where predicted and true points are told apart."""
FACES = 48
"""How many faces the sheet of landmarks shows."""
EXTREMES = 12
"""How many of the best are shown, and of the worst."""
MANY = 20
"""Beyond so many annotated points, their marks are small."""


def faces_sheet(images: _Images, landmarks: NDArray[np.floating], columns: int = 8) -> Image.Image:
    """Draw landmarks on many faces: the same landmark in the same colour, as the legend says.

    Args:
        images: N images of one size (S, S, 3), RGB.
        landmarks: (N, K, 2), (x, y) in their pixels.
        columns: How many stand in a row.
    """
    cells = [drawing.draw_points(image, own) for image, own in zip(images, landmarks, strict=True)]
    faces = drawing.sheet(cells, min(columns, len(cells)))
    return drawing.stack([faces, drawing.legend(landmarks.shape[1], faces.width)])


def extremes_sheet(
    images: _Images,
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    errors: Sequence[float],
    columns: int = 6,
) -> Image.Image:
    """Draw predicted points beside the truth: the first half are the best, the others the worst.

    Args:
        images: N images of one size (S, S, 3), RGB.
        predicted: (N, P, 2), (x, y) in their pixels; dots.
        truth: (N, P, 2); crosses, joined to their dots. NaN where a point is not known.
        errors: The N images' errors in percent, written on them.
        columns: How many stand in a row.
    """
    radius = 2.0 if predicted.shape[1] > MANY else None
    cells = [
        drawing.caption(
            drawing.draw_points(image, own, truth=real, links=True, radius=radius),
            f"{error:.1f} %",
        )
        for image, own, real, error in zip(images, predicted, truth, errors, strict=True)
    ]
    best, worst = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    bands = []
    for title, part in (("smallest errors", best), ("largest errors", worst)):
        if part:
            faces = drawing.sheet(part, min(columns, len(worst)))
            text = f"{title}: dots predicted, crosses true"
            bands += [drawing.heading(text, faces.width), faces]
    return drawing.stack(bands)


def compared_sheet(
    runs: Sequence[tuple[str, _Images, NDArray[np.floating]]],
) -> Image.Image:
    """Draw the landmarks of several runs on the same faces, a row each run.

    Args:
        runs: For each its heading, N images (S, S, 3) as it frames them, and its landmarks
            (N, K, 2), (x, y) in their pixels. A landmark's number means nothing across runs.
    """
    bands = []
    for title, images, landmarks in runs:
        pairs = zip(images, landmarks, strict=True)
        row = drawing.sheet([drawing.draw_points(*each) for each in pairs], len(images))
        bands += [drawing.heading(title, row.width), row]
    most = max(landmarks.shape[1] for _, _, landmarks in runs)
    return drawing.stack([*bands, drawing.legend(most, bands[-1].width)])


class Report(Protocol):
    """What is drawn of any report: which images, and how the detector saw them."""

    @property
    def indices(self) -> list[int]:
        """The numbers of the images in the data."""

    @property
    def framer(self) -> Framer:
        """How images became squares."""


class Seen:
    """Test images of a report as the detector saw them, enlarged.

    Args:
        report: Whose images.
        dataset: What it was measured on.
        rows: Which of its images, by their place in the report.
        side: Of the squares, in pixels.
    """

    def __init__(self, report: Report, dataset: Dataset, rows: Sequence[int], side: int) -> None:
        numbers = {report.indices[row]: row for row in rows}
        batches = read_images(
            dataset,
            list(numbers),
            framer=replace(report.framer, size=side),
            batch_size=len(numbers),
            unreadable=Unreadable(1.0),
        )
        images: list[NDArray[np.uint8]] = []
        self._framings: list[Framing] = []
        self.rows: list[int] = []
        """Those of the images that can still be read."""
        for batch in batches:
            images += list(batch.images.permute(0, 2, 3, 1).numpy())
            self._framings += batch.framings
            self.rows += [numbers[index] for index in batch.indices]
        self.images: _Images = images
        """Squares (S, S, 3), RGB."""

    def place(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points of all test images, (N, P, 2) in their pixels, as pixels of the squares.

        Returns:
            (n, P, 2), of the images that are seen.
        """
        return np.stack(
            [
                framing.to_square(points[row])
                for framing, row in zip(self._framings, self.rows, strict=True)
            ]
        )


def evenly(count: int, wanted: int) -> list[int]:
    """Return up to so many of ``count`` places, spread evenly."""
    taken = min(count, wanted)
    return [number * count // taken for number in range(taken)]


def write_figures(report: EvaluationReport, dataset: Dataset, folder: Path) -> list[Path]:
    """Write the images of an evaluation.

    ``faces.png``, ``best-and-worst.png``, and where matplotlib is installed also
    ``cumulative-error.png``, where the detector tells confidence ``reliability.png``, and where few
    labelled images were fitted on ``labelled-images.png``.

    Args:
        report: What was found.
        dataset: What it was measured on.
        folder: Where; it is made if it is not there.

    Returns:
        The files.

    Raises:
        LmkitError: If they cannot be written.
    """
    sheets: dict[str, Image.Image] = {}
    faces = Seen(report, dataset, evenly(len(report.keys), FACES), FACE_SIDE)
    if faces.rows:
        sheets["faces.png"] = faces_sheet(faces.images, faces.place(report.detections))
    order = np.argsort(report.per_image, kind="stable").tolist()
    each = max(1, min(EXTREMES, len(order) // 2))
    extreme = Seen(report, dataset, [*order[:each], *order[len(order) - each :]], LARGE_SIDE)
    if extreme.rows:
        sheets["best-and-worst.png"] = extremes_sheet(
            extreme.images,
            extreme.place(report.predictions),
            extreme.place(report.truth),
            report.per_image[extreme.rows].tolist(),
        )
    written = []
    for name, image in sheets.items():
        with storage(folder / name):
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / name)
        written.append(folder / name)
    return [*written, *_write_charts(report, folder)]


def _write_charts(report: EvaluationReport, folder: Path) -> list[Path]:
    if not can_plot():
        return []
    cumulative, labelled = folder / "cumulative-error.png", folder / "labelled-images.png"
    threshold = report.curve.threshold
    mean_shape = Curve.of(report.mean_shape_errors, threshold)
    plot_cumulative(
        cumulative,
        {"this run": report.per_image, MEAN_SHAPE: report.mean_shape_errors},
        areas={"this run": report.curve.area, MEAN_SHAPE: mean_shape.area},
        threshold=threshold,
        unit=report.unit,
    )
    written = [cumulative]
    if report.reliability is not None:
        written.append(folder / "reliability.png")
        plot_reliability(
            written[-1],
            [each.confidence for each in report.reliability.bins],
            [each.error for each in report.reliability.bins],
            report.reliability.calibration,
            unit=report.unit,
        )
    if not report.labelled:
        return written
    plot_labelled(
        labelled,
        [*(row.number for row in report.labelled), report.fit_images],
        [*(row.nme for row in report.labelled), report.forward],
        [*(row.sd or 0.0 for row in report.labelled), 0.0],
        name="this run",
        mean_shape=report.mean_shape,
        unit=report.unit,
    )
    return [*written, labelled]
