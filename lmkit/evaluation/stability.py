"""Stability: how far landmarks fail to follow a known movement of the image.

As Sanchez and Tzimiropoulos 2019 measure it: landmarks are found on an image and on the image
turned by a known angle; those of the first are turned likewise, and should meet the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmkit.data.unreadable import Unreadable
from lmkit.evaluation.detections import Detections
from lmkit.evaluation.measures import mean_known
from lmkit.evaluation.regression import Array
from lmkit.geometry.warps import AffineWarp
from lmkit.interfaces.dataset import Dataset
from lmkit.prediction.sources import DatasetImages
from lmkit.prediction.stream import stream
from lmkit.run.run import Run
from lmkit.seeds import derive

IMAGES = 200
"""Test images that are looked at a second time, unless another number is asked for."""
ROTATION, LIMIT = 15.0, 40.0
"""The standard deviation of the angle, and where it is clipped, in degrees."""
UNIT_SIDE = 128
"""Distances are in pixels of a square of this side, whatever the run's own is."""


@dataclass(frozen=True, slots=True)
class Stability:
    """How far landmarks fail to follow a known rotation.

    Args:
        mean: Over images and landmarks, in pixels of 128.
        per_landmark: Over images.
        images: How many images were turned.
    """

    mean: float
    per_landmark: list[float]
    images: int

    @classmethod
    def of(cls, moved: Array) -> "Stability":
        """Return what (N, K) [deviations][lmkit.evaluation.stability.deviations] come to."""
        mean = float(mean_known(moved.reshape(-1), axis=0))
        return cls(mean, mean_known(moved, axis=0).tolist(), len(moved))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "mean": self.mean,
            "per_landmark": self.per_landmark,
            "images": self.images,
            "unit": f"pixels of {UNIT_SIDE}",
        }


def rotations(keys: Sequence[str], seed: int) -> AffineWarp:
    """Return a random rotation of each image, shrunk until the whole image is within.

    Args:
        keys: The images' names; with the seed they decide the angles.
        seed: Decides the angles.
    """
    drawn = [np.random.default_rng(derive(seed, "stability", key)).normal() for key in keys]
    angle = torch.tensor(drawn, dtype=torch.float32).mul(ROTATION).clamp(-LIMIT, LIMIT).deg2rad()
    # A square that is turned fits into one whose side is |cos| + |sin| times as long.
    scale = 1 / (angle.cos().abs() + angle.sin().abs())
    return AffineWarp.from_similarity(angle, scale, torch.zeros(len(keys), 2))


def measure_stability(
    run: Run,
    dataset: Dataset,
    tested: Detections,
    *,
    images: int,
    seed: int,
    batch_size: int,
    unreadable: Unreadable,
    progress: Callable[[int], None] = lambda done: None,
) -> Stability | None:
    """Measure how far landmarks fail to follow a known rotation.

    Args:
        run: Whose detector.
        dataset: The images.
        tested: What was found on the test images.
        images: How many of them to turn, taken evenly.
        seed: Decides the angles.
        batch_size: Images at a time.
        unreadable: Collects those that cannot be read this time.
        progress: Called with the number of images done.

    Returns:
        None where none of them can be read this time.
    """
    count = min(images, len(tested))
    chosen = [number * len(tested) // count for number in range(count)]
    before = {tested.indices[row]: tested.found[row] for row in chosen}
    moved: list[Array] = []

    def turn(squares: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
        return rotations(names, seed)(squares.float()).round().to(torch.uint8)

    for each in stream(
        run.predictor,
        DatasetImages(dataset, list(before), annotated=True),
        unreadable=unreadable.add,
        batch_size=batch_size,
        only=(),
        change=turn,
    ):
        found = torch.from_numpy(before[each.item]).float()[None]
        moved.append(deviations(found, each.found.points, rotations([each.name], seed)))
        progress(len(moved))
    if not moved:
        return None
    return Stability.of(np.concatenate(moved))


def deviations(found: torch.Tensor, found_after: torch.Tensor, warp: AffineWarp) -> Array:
    """Return how far landmarks of warped images are from where the warp takes the others.

    Args:
        found: (B, K, 2), landmarks of the images.
        found_after: (B, K, 2), landmarks of the warped images.
        warp: The B warps.

    Returns:
        (B, K), in pixels of 128 of the warped image; NaN where a landmark leaves it.
    """
    expected = warp.map_points(found)
    distance = (expected - found_after).norm(dim=-1) * (UNIT_SIDE / 2)
    inside = expected.abs().amax(dim=-1) <= 1
    return torch.where(inside, distance, torch.nan).double().numpy()
