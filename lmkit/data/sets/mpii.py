"""MPII Human Pose, as downloaded or in the JSON that is widely used.

Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", CVPR
2014. The crops are those of Newell et al., "Stacked Hourglass Networks for Human Pose Estimation",
ECCV 2016. The JSON is that of Xiao et al., "Simple Baselines for Human Pose Estimation and
Tracking", ECCV 2018 (github.com/microsoft/human-pose-estimation.pytorch), whose loader takes
coordinates to count from 1, and whose authors say that ``joints_vis`` is 1 for each joint that is
labelled, hidden or not.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import CUT_OUT, Files, check_margin, need_folder, square_boxes
from lmkit.data.sets.lists import (
    FURTHEST,
    malformed,
    missing_error,
    numbers,
    own_field,
    read_annotation_file,
)
from lmkit.data.sets.locate import locate
from lmkit.data.sets.matlab import items, read_matlab
from lmkit.data.sets.normalising import choose_pair

_JOINTS = (
    *("right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle"),
    *("pelvis", "thorax", "upper neck", "head top"),
    *("right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow", "left wrist"),
)
_HEAD = (_JOINTS.index("upper neck"), _JOINTS.index("head top"))
_MATLAB = "mpii_human_pose_v1_u12_1.mat"
_UNPACKED = "mpii_human_pose_v1_u12_2"  # the folder that the download unpacks to
_HEIGHT = 200  # pixels a person of scale 1 is high
_SHIFT = 15  # pixels of such a person by which the crop is moved down, onto the body's middle
_NOWHERE = -1  # the centre of a person without one, in the JSON
_DOWNLOAD = "Download the file again."
_REMEDY = (
    f"Give --data mpii:DIR a folder that holds images/ and {_MATLAB}, or annot/train.json and "
    "annot/valid.json."
)


class _Person(NamedTuple):
    """A person, in the coordinates of the file, which count from 1."""

    image: str
    group: str
    """The video, or else the image."""
    test: bool
    centre: tuple[float, float]
    scale: float
    joints: NDArray[np.float64]
    """(16, 2), (NaN, NaN) where not labelled."""
    problem: str = ""
    """What is wrong with its entry, so that it is left out; empty if nothing is."""


class MPII(Files):
    """Persons with 16 joints, each cut out around its centre.

    The folder holds ``images/`` and, in itself, in ``mpii_human_pose_v1_u12_2`` or in ``annot``,
    either ``train.json`` (which trains and fits) and where at hand ``valid.json`` (which tests), or
    ``mpii_human_pose_v1_u12_1.mat``, which takes scipy. Where both are there the JSON is read,
    since only it says which persons are usually tested on. Left and right are the person's own.

    A person becomes the square around its centre moved down by 15 pixels a unit of scale, with a
    side of 200 pixels a unit of scale, times ``margin``: the convention of Newell et al. 2016.
    Centres and scales are annotation: results are comparable with others on the same crops only.

    Of the ``.mat``, persons of images that train become images; the benchmark's test persons
    are left out where their joints are withheld, and test where they are not. Where nothing tests,
    lmkit holds out a share of the videos (of the images, where the video is not known). A person
    whose entry is malformed is left out and counted as an image that cannot be read.

    Args:
        path: The folder.
        margin: What the side of a person's square is multiplied with.
        normalising_pair: The two joints, counted from 0, whose distance normalises errors; by
            default 8,9 (upper neck and head top, as in PCKh).

    Raises:
        LmkitError: If a part of the layout is missing or malformed, or scipy is not installed.
    """

    point_names = _JOINTS

    def __init__(
        self,
        *,
        path: Path,
        margin: float = 1.25,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        check_margin(margin)
        need_folder(path, "folder", _REMEDY)
        names = [name.replace(" ", "_") for name in _JOINTS]
        self.normalising_pair = choose_pair(names, normalising_pair, _HEAD)
        persons, file, notes = _read(path)
        where = locate(
            [path / "images"],
            [person.image for person in persons],
            listed_by=file,
            remedy=f"Unpack the images right into {path / 'images'}.",
        )
        counts: Counter[str] = Counter()
        keys = []
        for image in where.files:
            counts[image] += 1
            keys.append(f"{image}#{counts[image]}")
        kept = np.flatnonzero(where.there).tolist()
        persons = [persons[index] for index in kept]
        tests = np.array([person.test for person in persons])
        scales = np.array([person.scale for person in persons])
        centres = np.array([person.centre for person in persons]) - 1
        centres[:, 1] += _SHIFT * scales
        super().__init__(
            path / "images",
            [where.files[index] for index in kept],
            keys=[keys[index] for index in kept],
            points=np.stack([person.joints for person in persons]) - 1,
            groups=[person.group for person in persons],
            parts={"train": ~tests, "test": tests} if tests.any() else None,
            boxes=square_boxes(centres, _HEIGHT * margin * scales),
            problems={n: person.problem for n, person in enumerate(persons) if person.problem},
        )
        absent = where.notes
        self.notes = (CUT_OUT.format("person"), *notes, *absent)


def _read(folder: Path) -> tuple[list[_Person], Path, list[str]]:
    """Read the persons that can be cut out; return them, the file, and what was left out."""
    places = [folder, folder / "annot", folder / _UNPACKED]
    jsons = [place / "train.json" for place in places if (place / "train.json").is_file()]
    matlabs = [place / _MATLAB for place in places if (place / _MATLAB).is_file()]
    if jsons:
        file = jsons[0]
        valid = file.with_name("valid.json")
        persons = list(_of_json(file, test=False))
        persons += list(_of_json(valid, test=True)) if valid.is_file() else []
    elif matlabs:
        file = matlabs[0]
        persons = list(_of_matlab(file))
    else:
        raise missing_error(f"{folder} has neither {_MATLAB} nor annot/train.json", _REMEDY)
    placed = [person for person in persons if person.scale > 0 or person.problem]
    kept = [
        person
        for person in placed
        if person.problem or not person.test or np.isfinite(person.joints).any()
    ]
    notes = []
    if len(placed) < len(persons):
        notes.append(
            f"{len(persons) - len(placed)} persons have no centre or scale and are left out."
        )
    if len(kept) < len(placed):
        notes.append(
            f"{len(placed) - len(kept)} persons of the benchmark's test have no joints and are "
            "left out."
        )
    if not any(np.isfinite(person.joints).any() for person in kept):
        raise missing_error(f"{file} has no person with joints, centre and scale", _REMEDY)
    return kept, file, notes


def _of_json(path: Path, *, test: bool) -> Iterator[_Person]:
    entries = read_annotation_file(path)
    if not isinstance(entries, list):
        raise malformed(path, "top level", "it is not a list of persons", _DOWNLOAD)
    for place, entry in enumerate(entries):
        image = ""
        try:
            image = own_field(entry, "image", str)
            x, y = numbers(entry, "center", (2,)).tolist()
            scale = float(numbers(entry, "scale", ()))
            joints = numbers(entry, "joints", (len(_JOINTS), 2))
            labelled = numbers(entry, "joints_vis", (len(_JOINTS),)) > 0
        except ValueError as error:
            yield _broken(image, image, test, f"[{place}] of {path.name}: {error}")
            continue
        yield _Person(
            image=image,
            group=image,
            test=test,
            centre=(x, y),
            scale=scale if x != _NOWHERE else 0.0,
            joints=np.where(labelled[:, None], joints, np.nan),
        )


def _broken(image: str, group: str, test: bool, problem: str) -> _Person:
    joints = np.full((len(_JOINTS), 2), np.nan)
    return _Person(image, group, test, (1.0, 1.0), 1.0, joints, problem)


def _of_matlab(path: Path) -> Iterator[_Person]:
    release = read_matlab(path, "RELEASE")["RELEASE"]
    try:
        entries = items(_get(release, "annolist"))
        trains = items(_get(release, "img_train"))
    except ValueError as error:
        raise malformed(path, "RELEASE", str(error), _DOWNLOAD) from None
    if len(trains) != len(entries):
        raise malformed(
            path,
            "RELEASE",
            f"annolist has {len(entries)} images, but img_train has {len(trains)}",
            _DOWNLOAD,
        )
    for number, (entry, train) in enumerate(zip(entries, trains, strict=True), start=1):
        where = f"annolist({number}) of {path.name}"
        image = group = ""
        try:
            image = str(_get(_get(entry, "image"), "name"))
            video = items(entry.get("vididx"))
            group = f"video {int(_real(video[0], 'vididx'))}" if video else image
        except ValueError as error:
            yield _broken(image, image, not train, f"{where}: {error}")
            continue
        # An image without persons has an empty array in place of the struct.
        rectangles = items(entry.get("annorect"))
        for place, rectangle in enumerate(rectangles, start=1):
            if isinstance(rectangle, dict):
                try:
                    yield _person(rectangle, image, group, not train)
                except ValueError as error:
                    problem = f"annorect({place}) of {where}: {error}"
                    yield _broken(image, group, not train, problem)


def _person(rectangle: Mapping[str, Any], image: str, group: str, test: bool) -> _Person:
    joints = np.full((len(_JOINTS), 2), np.nan)
    annotated = rectangle.get("annopoints")
    for point in items(annotated.get("point")) if isinstance(annotated, dict) else ():
        joint = _number(point, "id")
        if joint not in range(len(_JOINTS)):
            raise ValueError(f"the id {joint:g} of a point is no joint's, 0 to 15")
        joints[int(joint)] = [_number(point, axis) for axis in ("x", "y")]
    centre, scale = rectangle.get("objpos"), 0.0
    x = y = 0.0
    if isinstance(centre, dict) and items(rectangle.get("scale")):
        x, y = (_number(centre, axis) for axis in ("x", "y"))
        scale = _number(rectangle, "scale")
    return _Person(image, group, test, (x, y), scale, joints)


def _get(struct: Any, name: str) -> Any:
    if not isinstance(struct, dict) or name not in struct:
        raise ValueError(f"it has no field '{name}'")
    return struct[name]


def _number(struct: Any, name: str) -> float:
    values = items(_get(struct, name))
    return _real(values[0] if len(values) == 1 else None, name)


def _real(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= FURTHEST:
        raise ValueError(f"its '{name}' is not a finite number up to {FURTHEST:,}")
    return number
