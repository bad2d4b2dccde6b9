"""Keypoints in COCO's JSON.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is told on
cocodataset.org, "Data format".
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import CUT_OUT, Files, choose_pair, choose_root, present, square_boxes
from lmkit.data.sets.lists import (
    field,
    malformed,
    missing_error,
    numbers,
    read_annotation_file,
    some,
)
from lmkit.errors import LmkitError

_TORSO = ("left_shoulder", "right_hip")


class Coco(Files):
    """Objects with keypoints, each cut out by its box; or whole images with one object each.

    The JSON has ``images`` (``id``, ``file_name``, and where known ``width`` and ``height``),
    ``annotations`` (``image_id``, ``category_id``, ``bbox``, ``keypoints``) and ``categories``
    (``id``, ``name``, ``keypoints``). Keypoints are pixels that count from 0. One with visibility 0
    is not known; one that is labelled but hidden, visibility 1, is known like any.

    Each object becomes the square around its box, enlarged. Boxes are annotation: results on them
    are comparable with others on the same boxes only. Crowds and objects without any known keypoint
    are left out. Where no file for testing is given, lmkit holds out a share of the images.

    Args:
        path: The JSON of what trains and fits.
        root: The folder of its images; by default the JSON's own, the folder above it, or a
            folder ``images`` or named as the JSON's name ends (``train2017``) in either.
        test: The JSON of what tests.
        test_root: The folder of its images; found as ``root`` is.
        category: The name of the objects; needed where several kinds of object have keypoints.
        whole: Whether to take images whole, of which none may have more than one object.
        margin: The side of an object's square, as a multiple of the longer side of its box.
        normalising_pair: The two keypoints, counted from 0, whose distance normalises errors; by
            default left shoulder and right hip where there are such, else 0,1.

    Raises:
        LmkitError: If a JSON is malformed, or none of its images is there.
    """

    def __init__(
        self,
        *,
        path: Path,
        root: Path | None = None,
        test: Path | None = None,
        test_root: Path | None = None,
        category: str | None = None,
        whole: bool = False,
        margin: float = 1.25,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        if margin <= 0:
            raise LmkitError(
                f"Boxes cannot be enlarged by a margin of {margin:g}.",
                remedy="Give a number above 0, such as 1.25.",
            )
        read = [_read(path, root, "root", category, whole)]
        if test is not None:
            read.append(_read(test, test_root, "test_root", category, whole))
            _compare(path, test, *read)
        tests = np.repeat(range(len(read)), [len(each.files) for each in read]) == 1
        keys = [
            key if part == 0 else f"test/{key}"
            for part in range(len(read))
            for key in read[part].keys
        ]
        super().__init__(
            Path(),
            [file for each in read for file in each.files],
            keys=keys,
            points=np.concatenate([each.points for each in read]),
            boxes=None
            if whole
            else _squares(np.concatenate([each.boxes for each in read]), margin),
            sizes=np.concatenate([each.sizes for each in read]),
            parts=None if test is None else {"train": ~tests, "test": tests},
        )
        names = self.point_names = read[0].names
        torso = all(name in names for name in _TORSO)
        default = (names.index(_TORSO[0]), names.index(_TORSO[1])) if torso else (0, 1)
        self.normalising_pair = choose_pair(len(names), normalising_pair, default)
        notes = [note for each in read for note in each.notes]
        self.notes = notes if whole else [CUT_OUT.format("object"), *notes]


class _Read(NamedTuple):
    """What one JSON holds: N objects, or whole images."""

    files: list[str]
    keys: list[str]
    points: NDArray[np.float64]
    """(N, P, 2), (NaN, NaN) where not known."""
    boxes: NDArray[np.float64]
    """(N, 4), left, top, width and height; without meaning for whole images."""
    sizes: NDArray[np.int64]
    """(N, 2), width and height of the file; 0 where not known."""
    names: tuple[str, ...]
    """The P keypoints."""
    notes: tuple[str, ...]


class _Image(NamedTuple):
    file: str
    size: tuple[int, int]


class _Object(NamedTuple):
    key: str
    image: int | str
    points: NDArray[np.float64]
    box: NDArray[np.float64]


def _read(path: Path, root: Path | None, option: str, category: str | None, whole: bool) -> _Read:
    remedy = f"Put them there, or name their folder with --set data.{option}=FOLDER."
    if not path.is_file():
        raise missing_error(
            f"There is no JSON {path}",
            "Give --data coco:FILE the path of COCO's keypoints, such as "
            "annotations/person_keypoints_train2017.json.",
        )
    content = read_annotation_file(path)
    images = _images(path, content)
    category_id, names = _category(path, content, category)
    objects = list(_objects(path, content, category_id, images, len(names), boxed=not whole))
    known = [each for each in objects if np.isfinite(each.points).any()]
    if not known:
        raise missing_error(
            f"{path} has no object with a known keypoint",
            "Choose the JSON of keypoints, and among its categories with --set data.category=NAME.",
        )
    files = [image.file for image in images.values()]
    folder = choose_root(_places(path) if root is None else [root], files)
    there, notes = present(folder, files, listed_by=path, remedy=remedy)
    if whole:
        known = _whole(path, images, known, len(names))
    elif len(known) < len(objects):
        left = len(objects) - len(known)
        notes += (f"{left} objects of {path} have no known keypoint and are left out.",)
    here = {image for image, found in zip(images, there, strict=True) if found}
    known = [each for each in known if each.image in here]
    if not known:
        raise missing_error(f"{folder} holds no image with an object that {path} annotates", remedy)
    return _Read(
        files=[str(folder / images[each.image].file) for each in known],
        keys=[each.key for each in known],
        points=np.stack([each.points for each in known]),
        boxes=np.stack([each.box for each in known]),
        sizes=np.array([images[each.image].size for each in known]),
        names=names,
        notes=notes,
    )


def _entries(path: Path, content: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the entries of one of the file's lists, and what to call each in a message."""
    for place, entry in enumerate(field(path, "top level", content, name, list)):
        known = isinstance(entry, Mapping) and "id" in entry
        yield f"{name}[{place}]" + (f" (id {entry['id']})" if known else ""), entry


def _images(path: Path, content: Any) -> dict[int | str, _Image]:
    images: dict[int | str, _Image] = {}
    for where, entry in _entries(path, content, "images"):
        number = field(path, where, entry, "id", (int, str))
        file = field(path, where, entry, "file_name", str)
        if number in images:
            raise malformed(path, where, "the id occurs twice", "Give each image one of its own.")
        size = [entry.get(side) for side in ("width", "height")]
        whole = all(isinstance(side, int) and side > 0 for side in size)
        images[number] = _Image(file, (size[0], size[1]) if whole else (0, 0))
    return images


def _category(path: Path, content: Any, wanted: str | None) -> tuple[int, tuple[str, ...]]:
    """Return the category's id and the names of its keypoints."""
    found = {}
    for where, entry in _entries(path, content, "categories"):
        if isinstance(entry, Mapping) and "keypoints" in entry:
            names = field(path, where, entry, "keypoints", list)
            if not names or len({*map(str, names)}) < len(names):
                raise malformed(
                    path, where, "its 'keypoints' are none, or two of a name", "Name each keypoint."
                )
            name = field(path, where, entry, "name", str)
            found[name] = field(path, where, entry, "id", int), tuple(map(str, names))
    if not found:
        raise malformed(
            path,
            "categories",
            "none has 'keypoints', the list of their names",
            "Choose the JSON of keypoints, or add the list to the category.",
        )
    if wanted is None and len(found) == 1:
        return next(iter(found.values()))
    if wanted not in found:
        raise malformed(
            path,
            "categories",
            f"there is no '{wanted}' with keypoints, but {', '.join(found)}"
            if wanted
            else f"several have keypoints: {', '.join(found)}",
            "Choose one with --set data.category=NAME.",
        )
    return found[wanted]


def _objects(
    path: Path,
    content: Any,
    category: int,
    images: Mapping[int | str, _Image],
    count: int,
    *,
    boxed: bool,
) -> Iterator[_Object]:
    """Yield the objects of a category that are no crowds; boxed where they have known points."""
    seen = set()
    for where, entry in _entries(path, content, "annotations"):
        if field(path, where, entry, "category_id", int) != category or entry.get("iscrowd"):
            continue
        image = field(path, where, entry, "image_id", (int, str))
        if image not in images:
            raise malformed(
                path, where, f"no image has its image_id {image}", "Add the image, or remove it."
            )
        number = field(path, where, entry, "id", (int, str))
        if number in seen:
            raise malformed(path, where, "the id occurs twice", "Give each object one of its own.")
        seen.add(number)
        points = _points(path, where, entry, count)
        needs_box = boxed and np.isfinite(points).any()
        box = _box(path, where, entry) if needs_box else np.zeros(4)
        yield _Object(f"{images[image].file}#{number}", image, points, box)


def _points(path: Path, where: str, entry: Mapping[str, Any], count: int) -> NDArray[np.float64]:
    """Return (count, 2), (NaN, NaN) where not known; all, if the object has no keypoints."""
    if not entry.get("keypoints"):
        return np.full((count, 2), np.nan)
    remedy = "Write x, y and visibility of each keypoint; visibility 0 where it is not known."
    listed = numbers(path, where, entry, "keypoints", (3 * count,), remedy).reshape(count, 3)
    return np.where(listed[:, 2:] > 0, listed[:, :2], np.nan)


def _box(path: Path, where: str, entry: Mapping[str, Any]) -> NDArray[np.float64]:
    remedy = "Write left, top, width and height in pixels."
    box = numbers(path, where, entry, "bbox", (4,), remedy)
    if box[2:].min() < 0 or box[2:].max() == 0:
        raise malformed(path, where, "its 'bbox' has no area", remedy)
    return box


def _whole(
    path: Path, images: Mapping[int | str, _Image], known: Sequence[_Object], count: int
) -> list[_Object]:
    """Return each image with its object, or without any point."""
    (most,) = Counter(each.image for each in known).most_common(1)
    if most[1] > 1:
        raise malformed(
            path,
            images[most[0]].file,
            f"the image has {most[1]} objects with keypoints",
            "Leave data.whole off, which cuts out each object.",
        )
    by_image = {each.image: each for each in known}
    nothing = _Object("", 0, np.full((count, 2), np.nan), np.zeros(4))
    return [
        by_image.get(number, nothing)._replace(key=image.file, image=number)
        for number, image in images.items()
    ]


def _places(path: Path) -> list[Path]:
    """Return the folders where the images of a JSON may be, as COCO's and others' lie."""
    ending = path.stem.rpartition("_")[2]
    beside = (Path(), Path("images"), Path(ending), Path("images", ending))
    return [folder / place for folder in (path.parent, path.parent.parent) for place in beside]


def _squares(boxes: NDArray[np.float64], margin: float) -> NDArray[np.int64]:
    # Boxes are measured from the corner of the first pixel, centres from its centre.
    centres = boxes[:, :2] + boxes[:, 2:] / 2 - 0.5
    return square_boxes(centres, margin * boxes[:, 2:].max(axis=1))


def _compare(path: Path, test: Path, first: _Read, second: _Read) -> None:
    if first.names != second.names:
        raise malformed(
            test,
            "categories",
            f"its keypoints are {', '.join(second.names)}, but those of {path} are "
            f"{', '.join(first.names)}",
            "Give files of the same keypoints in the same order.",
        )
    both = sorted({*first.files} & {*second.files})
    if both:
        raise missing_error(
            f"{len(both)} images are in {path} and in {test}: {some(both)}",
            "Take them out of one of them, so that they do not train and test.",
        )
