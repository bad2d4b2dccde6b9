"""The map from a run's landmarks to named points: as an object, and as a file that is checked.

The file is JSON. It is read within bounds, its SHA-256 is compared, and everything in it is
verified before it is believed. It names the detector that it was fitted with by the SHA-256 of its
weights, and is refused with the landmarks of any other.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lmkit.errors import ExitCode, LmkitError
from lmkit.points.linear import Array
from lmkit.storage import load_json, write_json

MAP = "map.json"
"""The name of the file in its folder."""
FORMAT = 1
"""The version of the file."""
LARGEST = 2**28
"""The bytes of the largest file that is read: ten times what 1,000 points from 100 landmarks
take."""
_KIND = "named points"


@dataclass(frozen=True, slots=True)
class FittedWith:
    """The detector that a map was fitted with.

    Args:
        sha256: Of the file of its weights.
        run: The run's folder, as it was called; for messages alone.
        step: The step of the checkpoint; for messages alone.
    """

    sha256: str
    run: str
    step: int


@dataclass(frozen=True, slots=True)
class NamedPoints:
    """Named points on one image or several.

    Args:
        names: P names.
        points: (P, 2) or (N, P, 2), (x, y) in pixels of the image, the centre of its first pixel
            at (0, 0).
        standard_error: The same shape: the root mean square of what x and y were off by, on
            labelled images that the map was not fitted to; NaN where that is not known.
    """

    names: tuple[str, ...]
    points: Array
    standard_error: Array

    def __getitem__(self, name: str) -> Array:
        """Return one point by its name, (2,) or (N, 2).

        Raises:
            KeyError: If there is none of that name.
        """
        if name not in self.names:
            raise KeyError(name)
        place: Array = self.points[..., self.names.index(name), :]
        return place


@dataclass(frozen=True, slots=True)
class PointsMap:
    """A linear map from the landmarks of one detector to named points.

    Coordinates are (x, y) in [-1, 1] of the square that the detector sees.

    Args:
        names: P names.
        matrix: (2K, 2P).
        offset: (2P,).
        standard_error: (P, 2): the root mean square of what x and y were off by in
            cross-validation; NaN where no image could tell.
        kind: ``weighted`` or ``linear``: how it was fitted.
        bias: Whether it was fitted with a bias.
        ridge: The relative strength of its ridge.
        images: How many labelled images it was fitted to.
        fitted_with: Whose landmarks it maps.
    """

    names: tuple[str, ...]
    matrix: Array
    offset: Array
    standard_error: Array
    kind: str
    bias: bool
    ridge: float
    images: int
    fitted_with: FittedWith

    @property
    def landmarks(self) -> int:
        """The number K of landmarks that it maps."""
        return len(self.matrix) // 2

    def __call__(self, landmarks: Array) -> Array:
        """Map landmarks.

        Args:
            landmarks: (N, K, 2), in [-1, 1] of the squares.

        Returns:
            (N, P, 2), the same.
        """
        flat = np.asarray(landmarks, np.float64).reshape(len(landmarks), -1)
        mapped: Array = flat @ self.matrix + self.offset
        return mapped.reshape(len(landmarks), -1, 2)

    def refuse_others(self, path: Path, run: FittedWith, landmarks: int) -> None:
        """Refuse the landmarks of a detector that it was not fitted with.

        Args:
            path: Where the map was read from.
            run: The detector that is to be used.
            landmarks: How many landmarks that has.

        Raises:
            LmkitError: If it is another one.
        """
        own = self.fitted_with
        if (own.sha256, self.landmarks) == (run.sha256, landmarks):
            return
        raise LmkitError(
            f"{path} was fitted with the detector of {own.run} after step {own.step} "
            f"({self.landmarks} landmarks, SHA-256 {own.sha256[:12]}), which is not that of "
            f"{run.run} after step {run.step} ({landmarks} landmarks, SHA-256 {run.sha256[:12]}).",
            remedy="Landmarks of different detectors do not correspond: fit again with lmkit fit, "
            "or give the run that the points were fitted with.",
            code=ExitCode.RUN,
        )

    def save(self, path: Path) -> None:
        """Write the map, aside and renamed.

        Raises:
            LmkitError: If it cannot be written.
        """
        content = {
            "kind": _KIND,
            "format": FORMAT,
            "names": list(self.names),
            "landmarks": self.landmarks,
            "detector": {
                "sha256": self.fitted_with.sha256,
                "run": self.fitted_with.run,
                "step": self.fitted_with.step,
            },
            "images": self.images,
            "fitted": self.kind,
            "bias": self.bias,
            "ridge": self.ridge,
            "matrix": self.matrix.tolist(),
            "offset": self.offset.tolist(),
            "standard_error": [
                [None if math.isnan(value) else value for value in pair]
                for pair in self.standard_error.tolist()
            ],
        }
        write_json(path, {**content, "sha256": _digest(content)})

    @classmethod
    def read(cls, path: Path) -> "PointsMap":
        """Read a map and verify it.

        Args:
            path: The file, or the folder it lies in.

        Raises:
            LmkitError: If it is missing, damaged, of another version, or no such file.
        """
        file = path / MAP if path.is_dir() else path
        try:
            content = load_json(file, limit=LARGEST)
        except FileNotFoundError:
            _refuse(file, "there is no such file")
        except (OSError, ValueError) as error:
            _refuse(file, getattr(error, "strerror", None) or str(error))
        if not isinstance(content, dict) or content.get("kind") != _KIND:
            _refuse(file, "it does not hold what lmkit fit writes")
        if content.get("format") != FORMAT:
            _refuse(file, f"it is of format {content.get('format')!r:.20}, not {FORMAT}")
        recorded = content.pop("sha256", None)
        if recorded != _digest(content):
            _refuse(file, "it is not what was written (its SHA-256 differs)")
        try:
            return _parsed(content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            _refuse(file, f"{type(error).__name__}: {error}"[:200])


def _refuse(file: Path, reason: str) -> NoReturn:
    raise LmkitError(
        f"{file} cannot be used as named points: {reason}.",
        remedy="Give the folder that lmkit fit wrote (--out), or fit again.",
        code=ExitCode.RUN,
    )


def _digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of everything but itself, whatever the order and the white space."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parsed(content: dict[str, Any]) -> PointsMap:
    """Return the map of a file whose content is what was written.

    Raises:
        ValueError, KeyError, TypeError: If it cannot be one all the same.
    """
    names, detector = content["names"], content["detector"]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("its names are not names")
    if len(set(names)) < len(names):
        raise ValueError("two of its points have one name")
    landmarks, points = int(content["landmarks"]), len(names)
    errors = content["standard_error"]
    error = [[math.nan if value is None else value for value in pair] for pair in errors]
    read = PointsMap(
        names=tuple(names),
        matrix=_numbers(content["matrix"], (2 * landmarks, 2 * points)),
        offset=_numbers(content["offset"], (2 * points,)),
        standard_error=_numbers(error, (points, 2), known=False),
        kind=str(content["fitted"]),
        bias=bool(content["bias"]),
        ridge=float(content["ridge"]),
        images=int(content["images"]),
        fitted_with=FittedWith(
            str(detector["sha256"]), str(detector["run"]), int(detector["step"])
        ),
    )
    if (read.standard_error < 0).any():
        raise ValueError("a standard error is negative")
    return read


def _numbers(values: Any, shape: tuple[int, ...], *, known: bool = True) -> Array:
    array: Array = np.array(values, np.float64)
    if array.shape != shape:
        raise ValueError(f"numbers of shape {array.shape} stand where {shape} is expected")
    if np.isinf(array).any() or (known and np.isnan(array).any()):
        raise ValueError("a number is not finite")
    return array
