"""Draws what was found: a sample of the images with their points, and pairs that are alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lmkit.drawing as drawing
from lmkit.data.framing import Framer, build_framer
from lmkit.interfaces.dataset import Dataset
from lmkit.preparation.check.report import Alike, DataReport
from lmkit.storage import storage, write_json

CELL = 160
"""Side of an image on the sheets, in pixels."""
SAMPLE, COLUMNS = 32, 8
"""How many images the sample shows, and how many in a row."""
PAIRS, PAIRS_IN_A_ROW = 24, 3
"""How many pairs are drawn at most, and how many in a row."""

_MANY = 20  # points; beyond, the dots are smaller


def write(report: DataReport, out: Path) -> list[Path]:
    """Write the report and its sheets to a folder, over those of an earlier check.

    Args:
        report: What was found.
        out: The folder; made if it is not there.

    Returns:
        ``report.json``; ``sample.png``, unless no image can be read; and ``alike.png``, if any
        image is in training and in testing.

    Raises:
        LmkitError: If the folder cannot be written.
    """
    with storage(out):
        out.mkdir(parents=True, exist_ok=True)
    written = [out / "report.json"]
    write_json(written[0], report.to_dict())
    for name, draw in (("sample.png", _sample), ("alike.png", _alike)):
        path = out / name
        with storage(path):
            path.unlink(missing_ok=True)
            if (sheet := draw(report)) is not None:
                sheet.save(path)
                written.append(path)
    return written


def _sample(report: DataReport) -> Image.Image | None:
    """Draw images taken evenly from all, as the networks see them, with their points."""
    dataset, framer = report.dataset, _framer(report)
    parts = _parts(report)
    pool = sorted(parts) if parts else range(len(dataset))
    count = min(len(pool), SAMPLE)
    chosen = [pool[number * len(pool) // count] for number in range(count)]
    cells = []
    for index in chosen:
        cell = _cell(dataset, index, framer)
        if cell is not None:
            cells.append(drawing.caption(cell, parts[index]) if index in parts else cell)
    if not cells:
        return None
    columns = min(COLUMNS, len(cells))
    sheet = drawing.sheet(cells, columns)
    width = max(sheet.width, 2 * CELL)
    bands = [drawing.heading(report.label, width), sheet]
    if dataset.point_names:
        bands.append(drawing.legend(len(dataset.point_names), width, names=dataset.point_names))
    return drawing.stack(bands)


def _alike(report: DataReport) -> Image.Image | None:
    """Draw the likest pairs, the one to train on left and the one to test with right."""
    framer = Framer(CELL, "pad")
    cells = []
    for pair in report.alike[:PAIRS]:
        sides = [_cell(report.dataset, index, framer, points=False) for index in pair[:2]]
        if sides[0] is None or sides[1] is None:
            continue
        cells.append(_beside(pair, sides[0], sides[1]))
    if not cells:
        return None
    sheet = drawing.sheet(cells, min(PAIRS_IN_A_ROW, len(cells)))
    title = f"{report.label}: training left, test right"
    return drawing.stack([drawing.heading(title, max(sheet.width, 2 * CELL)), sheet])


def _beside(pair: Alike, left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a pair side by side, with white to the right and below that sets it apart from others."""
    told = "equal" if pair.distance < 0 else f"{pair.distance} bits"
    both = np.concatenate([drawing.caption(left, told), right], axis=1)
    return np.pad(both, ((0, 8), (0, 8), (0, 0)), constant_values=255)


def _framer(report: DataReport) -> Framer:
    return replace(build_framer(report.settings), size=CELL)


def _parts(report: DataReport) -> dict[int, str]:
    """Return what each image is for."""
    if report.split is None:
        return {}
    names = {"fit": report.split.fit, "train": report.split.train, "test": report.split.test}
    return {index: name for name, indices in names.items() for index in indices}


def _cell(
    dataset: Dataset, index: int, framer: Framer, *, points: bool = True
) -> NDArray[np.uint8] | None:
    """Draw an image as the framer shows it; None if it cannot be read."""
    annotation = dataset.annotation(index)
    try:
        square, framing = framer(dataset.image(index), annotation)
    except OSError:
        return None
    if not points or annotation.points is None:
        return square
    places = framing.to_square(annotation.points)
    return drawing.draw_points(square, places, radius=1.6 if len(places) > _MANY else None)
