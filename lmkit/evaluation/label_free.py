"""What can be told of a run without annotation, beside the same network untrained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.controls import untrained
from lmkit.evaluation.faults import Faults, find_faults
from lmkit.evaluation.following import (
    exchange_surroundings,
    known_warps,
    missed_and_moved,
    moved_by_surroundings,
    recognised,
    warped,
)
from lmkit.evaluation.measures import Interval, bootstrap, mean_known
from lmkit.evaluation.reconstruction import Reconstruction, measure_reconstruction
from lmkit.evaluation.regression import Array
from lmkit.evaluation.stability import Stability, deviations, rotations
from lmkit.evaluation.verdict import Evidence, Verdict, judge
from lmkit.geometry.collapse import mean_movement
from lmkit.interfaces.dataset import Dataset
from lmkit.prediction.sources import DatasetImages
from lmkit.prediction.stream import Detection, Predictor, stream
from lmkit.run.run import Run
from lmkit.seeds import derive

IMAGES = 200
"""How many images are looked at, at most, taken evenly; each of them four times a network."""
ROUNDING = 1e-3
"""Shares of known movements below this are 0: what single precision leaves of no movement."""


@dataclass(frozen=True, slots=True)
class LabelFree:
    """What can be told of one network's landmarks without annotation.

    Args:
        missed: (N, K), how far each landmark of a warped image is from where the warp takes it, in
            percent of the side; NaN where the warp takes it off the image.
        moved: (N, K), how far that is from where it was.
        surroundings: How far landmarks move when what surrounds the object is exchanged, in percent
            of the side; None where it could not be measured.
        recognised: How often what is around a landmark tells which one it is; None of one image.
        stability: How landmarks follow a known rotation.
        spread: How far landmarks move over the images, a mean in percent of the side.
        faults: Which landmarks are at fault on which image.
    """

    missed: Array
    moved: Array
    surroundings: float | None
    recognised: float | None
    stability: Stability
    spread: float
    faults: Faults

    @property
    def per_image(self) -> Array:
        """The equivariance error of each image, in percent of the side, (N,)."""
        return mean_known(self.missed, axis=1)

    @property
    def equivariance(self) -> float:
        """The mean of [per_image][lmkit.evaluation.label_free.LabelFree.per_image]."""
        return float(mean_known(self.per_image, axis=0))

    @property
    def followed_per_image(self) -> Array:
        """What each image adds to ``followed``, (N,), whose mean is that; NaN where nothing."""
        moved = mean_known(mean_known(self.moved, axis=1), axis=0)
        followed: Array = 1 - self.per_image / np.maximum(moved, np.finfo(np.float64).tiny)
        return followed

    @property
    def followed(self) -> float:
        """The share of known movements that landmarks follow.

        1 less the equivariance error over that of landmarks that stay where they are: 1 if they
        follow wholly, 0 if they stay, below 0 if they go elsewhere.
        """
        share = float(mean_known(self.followed_per_image, axis=0))
        # Nothing but rounding sets landmarks that stay apart from 0, and it is not to have a sign.
        return share if abs(share) > ROUNDING else 0.0

    @property
    def followed_per_landmark(self) -> list[float]:
        """The same for each landmark, (K,); 0 for one that the warps always take off the image."""
        missed, moved = mean_known(self.missed, axis=0), mean_known(self.moved, axis=0)
        shares = 1 - missed / np.maximum(moved, np.finfo(np.float64).tiny)
        return [float(share) for share in np.nan_to_num(shares)]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "followed": self.followed,
            "followed_per_landmark": self.followed_per_landmark,
            "equivariance": self.equivariance,
            "surroundings": self.surroundings,
            "recognised": self.recognised,
            "stability": self.stability.to_dict(),
            "spread": self.spread,
            "faults": self.faults.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """A run and its untrained control, and what they come to.

    Args:
        keys: The images' names.
        indices: Their numbers in the data.
        found: (N, K, 2), the run's landmarks in [-1, 1] of the squares.
        pixels: (N, K, 2), the same in pixels of the images.
        own: What can be told of the run.
        control: The same of the untrained network; None where it was not to be measured, or could
            not be.
        gain: Confidence interval, over the images, of the share of movements followed, less the
            control's where there is one.
        reconstruction: How well images are redrawn; None without a generator.
        remark: Why there is no control; None where there is one, or none was asked for.
    """

    keys: list[str]
    indices: list[int]
    found: Array
    pixels: Array
    own: LabelFree
    control: LabelFree | None
    gain: Interval
    reconstruction: Reconstruction | None
    remark: str | None = None

    def verdict(self, beaten: bool | None = None, faults: Faults | None = None) -> Verdict:
        """Return what it comes to.

        Args:
            beaten: Whether the error on annotated images beats the untrained network's; None if
                that is not known.
            faults: Which landmarks are at fault, where more images were looked at for that.
        """
        return judge(
            Evidence(
                followed=self.own.followed,
                control=None if self.control is None else self.control.followed,
                gain=self.gain,
                faults=self.own.faults if faults is None else faults,
                surroundings=self.own.surroundings,
                spread=self.own.spread,
                beaten=beaten,
                reconstruction=self.reconstruction,
            )
        )

    def to_dict(self, beaten: bool | None = None, faults: Faults | None = None) -> dict[str, Any]:
        """Return the JSON form, with the verdict by the same arguments."""
        drawn = self.reconstruction
        return {
            "images": len(self.keys),
            "run": self.own.to_dict(),
            "untrained": None if self.control is None else self.control.to_dict(),
            "gain": {"low": self.gain.low, "high": self.gain.high},
            "chance_to_recognise": 1 / self.found.shape[1],
            "reconstruction": None if drawn is None else drawn.to_dict(),
            "verdict": self.verdict(beaten, faults).to_dict(),
        }


def judge_run(
    run: Run,
    dataset: Dataset,
    indices: Sequence[int],
    *,
    images: int = IMAGES,
    controls: bool = True,
    seed: int = 0,
    batch_size: int = 64,
    unreadable: Unreadable,
    progress: Callable[[int], None] = lambda done: None,
) -> Judgement:
    """Tell without annotation whether a run's landmarks follow what they are on.

    Args:
        run: The run.
        dataset: The images.
        indices: Those to look at, best none that trained.
        images: How many of them, at most, taken evenly.
        controls: Whether to look at them with the untrained network too.
        seed: Decides every random draw.
        batch_size: Images at a time.
        unreadable: Collects images that cannot be read.
        progress: Called with the number of images read.

    Raises:
        LmkitError: If none of them can be read.
    """
    count = min(images, len(indices))
    chosen = [indices[number * len(indices) // count] for number in range(count)]
    found, squares = _read(run, dataset, chosen, batch_size, unreadable, progress)
    keys = [each.name for each in found]
    points = torch.cat([each.found.points for each in found])
    own = _measure(run.predictor, squares, keys, points, seed, batch_size)
    control, remark = None, None
    if controls:
        try:
            before = untrained(run).predictor
        except LmkitError as error:
            remark = f"There is no untrained control: {error.problem}"
        else:
            their = _detect(before, squares, batch_size)
            control = _measure(before, squares, keys, their, seed, batch_size)
    gained = own.followed_per_image - (0 if control is None else control.followed_per_image)
    gained = gained[np.isfinite(gained)]
    return Judgement(
        keys=keys,
        indices=[each.item for each in found],
        found=points.double().numpy(),
        pixels=np.concatenate([each.framing.to_pixels(each.found.points) for each in found]),
        own=own,
        control=control,
        gain=bootstrap(gained, seed=derive(seed, "gain")) if len(gained) else Interval(0.0, 0.0),
        reconstruction=measure_reconstruction(run, squares, seed=seed, batch_size=batch_size),
        remark=remark,
    )


def _read(
    run: Run,
    dataset: Dataset,
    chosen: Sequence[int],
    batch_size: int,
    unreadable: Unreadable,
    progress: Callable[[int], None],
) -> tuple[list[Detection], Tensor]:
    """Return what is found on images, and the squares (N, 3, S, S) that the detector saw."""
    seen: list[Tensor] = []

    def keep(squares: Tensor, names: Sequence[str]) -> Tensor:
        seen.append(squares)
        return squares

    found = []
    for each in stream(
        run.predictor,
        DatasetImages(dataset, chosen, annotated=True),
        unreadable=unreadable.add,
        batch_size=batch_size,
        only=(),
        change=keep,
    ):
        found.append(each)
        progress(len(found))
    if not found:
        raise LmkitError(
            f"None of {len(chosen)} images can be read.",
            remedy="Check that the images are where the data says.",
            code=ExitCode.DATA,
        )
    return found, torch.cat(seen)


def _measure(
    predictor: Predictor,
    squares: Tensor,
    keys: Sequence[str],
    points: Tensor,
    seed: int,
    batch_size: int,
) -> LabelFree:
    warp, turn = known_warps(keys, seed), rotations(keys, seed)
    after = _detect(predictor, warped(squares, warp), batch_size)
    missed, moved = missed_and_moved(points, after, warp)
    turned = deviations(points, _detect(predictor, warped(squares, turn), batch_size), turn)
    surroundings = None
    if len(squares) > 1:
        exchanged = _detect(predictor, exchange_surroundings(squares), batch_size)
        surroundings = moved_by_surroundings(points, exchanged)
    return LabelFree(
        missed=missed.double().numpy(),
        moved=moved.double().numpy(),
        surroundings=surroundings,
        recognised=recognised(squares, points),
        stability=Stability.of(turned),
        spread=float(mean_movement(points).mean()),
        faults=find_faults(points.double().numpy()),
    )


def _detect(predictor: Predictor, squares: Tensor, batch_size: int) -> Tensor:
    """Return the landmarks of squares, (N, K, 2) in [-1, 1]."""
    found = [predictor.detect(batch, only=()).points for batch in squares.split(batch_size)]
    return torch.cat(found)
