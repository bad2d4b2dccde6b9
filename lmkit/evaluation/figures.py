"""Pictures of an evaluation: landmarks on many faces, the best and the worst, and two charts.

The drawing takes plain arrays; only [write_figures][lmkit.evaluation.figures.write_figures] knows
of reports.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmkit import drawing

Pictures = Sequence[NDArray[np.uint8]]

SIDE = 160
"""Side of a face on the sheet of landmarks, in pixels."""
LARGE_SIDE = 224
"""Side of a face where predicted and true points are told apart."""
MANY = 20
"""Beyond so many annotated points, their marks are small."""


def faces_sheet(images: Pictures, landmarks: NDArray[np.floating], columns: int = 8) -> Image.Image:
    """Draw landmarks on many faces: the same landmark in the same colour, as the legend says.

    Args:
        images: N pictures of one size (S, S, 3), RGB.
        landmarks: (N, K, 2), (x, y) in their pixels.
        columns: How many stand in a row.
    """
    cells = [drawing.draw_points(image, own) for image, own in zip(images, landmarks, strict=True)]
    faces = drawing.sheet(cells, min(columns, len(cells)))
    return drawing.stack([faces, drawing.legend(landmarks.shape[1], faces.width)])


def extremes_sheet(
    images: Pictures,
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    errors: Sequence[float],
    columns: int = 6,
) -> Image.Image:
    """Draw predicted points beside the truth: the first half are the best, the others the worst.

    Args:
        images: N pictures of one size (S, S, 3), RGB.
        predicted: (N, P, 2), (x, y) in their pixels; dots.
        truth: (N, P, 2); crosses, joined to their dots. NaN where a point is not known.
        errors: The N pictures' errors in percent, written on them.
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
