"""Named points in pixels of the image, from landmarks that were found on it."""

from collections.abc import Sequence

import numpy as np

from lmkit.points.map import NamedPoints, PointsMap
from lmkit.prediction.stream import Detection


def name_points(points: PointsMap, image: Detection) -> NamedPoints:
    """Return the named points of an image, (P, 2), in its pixels.

    Args:
        points: Fitted with the detector that found the landmarks.
        image: What that found.
    """
    mapped = points(image.found.points.numpy())[0]
    # How long one unit of the square's coordinates is in the image, along x and y.
    origin, unit = image.framing.to_pixels([[0, 0], [1, 1]])
    pixels = image.framing.to_pixels(mapped)
    return NamedPoints(points.names, pixels, points.standard_error * (unit - origin))


def stack_points(points: PointsMap, images: Sequence[NamedPoints]) -> NamedPoints:
    """Return the named points of several images as one, (N, P, 2)."""
    shape = (len(images), len(points.names), 2)
    return NamedPoints(
        points.names,
        np.array([each.points for each in images]).reshape(shape),
        np.array([each.standard_error for each in images]).reshape(shape),
    )
