"""Keypoints in COCO's JSON.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format is told on
cocodataset.org, "Data format".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmkit.data.sets.coco_entries import (
    Broken,
    ImageEntry,
    Kind,
    ObjectEntry,
    read_images,
    read_kinds,
    read_objects,
)
from lmkit.data.sets.files import CUT_OUT, Files, check_margin
from lmkit.data.sets.lists import malformed, missing_error, read_annotation_file, shown, some
from lmkit.data.sets.locate import locate
from lmkit.data.sets.normalising import choose_pair, near_note
from lmkit.data.sets.objects import Item, boxed, unique

_TORSO = ("left_shoulder", "right_hip")


class Coco(Files):
    """Objects with keypoints, each cut out by its box; or whole images with one object each.

    The JSON has ``images`` (``id``, ``file_name``, and where known ``width`` and ``height``),
    ``annotations`` (``image_id``, ``category_id``, ``bbox``, ``keypoints``) and ``categories``
    (``id``, ``name``, ``keypoints``). Keypoints are pixels that count from 0. One with visibility 0
    is not known; one that is labelled but hidden, visibility 1, is known like any. Keypoints that
    no category names are numbered, and categories of the same keypoints are read together.

    Each object becomes the square around its box, enlarged; where it has none, around its
    keypoints. Boxes are annotation: results on them are comparable with others on the same boxes
    only. Crowds and objects without any known keypoint are left out, and a note counts them. An
    entry that is malformed is left out and counted as an image that cannot be read. Where no file
    for testing is given, lmkit holds out a share of the images.

    Args:
        path: The JSON of what trains and fits.
        root: The folder of its images; by default the JSON's own, the folder above it, or a
            folder ``images`` or named as the JSON's name ends (``train2017``) in either.
        test: The JSON of what tests.
        test_root: The folder of its images; found as ``root`` is.
        category: The name of the objects; needed where kinds of object have different keypoints.
        whole: Whether to take images whole, of which none may have more than one object.
        margin: The side of an object's square, as a multiple of the longer side of its box.
        normalising_pair: The two keypoints, counted from 0, whose distance normalises errors; by
            default left shoulder and right hip where there are such, else the outer corners or the
            centres of the eyes, else 0,1.

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
        check_margin(margin)
        read = [_read(path, root, "root", category, whole)]
        if test is not None:
            read.append(_read(test, test_root, "test_root", category, whole))
            _compare(path, test, *read)
        names = read[0].names
        items = [item for each in read for item in each.items]
        tests = np.repeat(range(len(read)), [len(each.items) for each in read]) == 1
        boxes = None if whole else boxed(items, margin)
        points = np.array([item.points for item in items]).reshape(-1, len(names), 2)
        super().__init__(
            Path(),
            [item.file for item in items],
            keys=unique(
                [
                    f"test/{item.key}" if tested else item.key
                    for item, tested in zip(items, tests, strict=True)
                ]
            ),
            points=points,
            boxes=boxes,
            sizes=[item.size for item in items],
            parts=None if test is None else {"train": ~tests, "test": tests},
            problems={n: item.problem for n, item in enumerate(items) if item.problem},
        )
        self.point_names = names
        torso = all(name in names for name in _TORSO)
        convention = (names.index(_TORSO[0]), names.index(_TORSO[1])) if torso else None
        self.normalising_pair = choose_pair(names, normalising_pair, convention)
        notes = [note for each in read for note in each.notes]
        notes += near_note(points, names, self.normalising_pair)
        self.notes = notes if whole else [CUT_OUT.format("object"), *notes]


class _Read(NamedTuple):
    """What one JSON holds: objects, or whole images, those included that cannot be used."""

    items: list[Item]
    names: tuple[str, ...]
    """The keypoints."""
    notes: tuple[str, ...]


def _read(path: Path, root: Path | None, option: str, category: str | None, whole: bool) -> _Read:
    remedy = f"Put them there, or name their folder with --set data.{option}=FOLDER."
    if not path.is_file():
        raise missing_error(
            f"There is no JSON {path}",
            "Give --data coco:FILE the path of COCO's keypoints, such as "
            "annotations/person_keypoints_train2017.json.",
        )
    content = read_annotation_file(path)
    images, broken = read_images(path, content)
    kind = _choose(path, read_kinds(path, content), category)
    counts: Counter[str] = Counter()
    objects: list[ObjectEntry] = []
    for entry in read_objects(path, content, kind, images, counts):
        if isinstance(entry, Broken):
            broken.append(entry)
        elif np.isfinite(entry.points).any():
            objects.append(entry)
        else:
            counts["without a known keypoint"] += 1
    if not objects:
        raise missing_error(
            f"{path} has no object with a known keypoint"
            + (f" ({broken[0].key}: {broken[0].problem})" if broken else ""),
            "Choose the JSON of keypoints, and among its categories with --set data.category=NAME.",
        )
    where = locate(
        _places(path) if root is None else [root],
        [image.file for image in images.values()],
        listed_by=path,
        remedy=remedy,
    )
    here = {
        number: image._replace(file=file)
        for (number, image), file, found in zip(
            images.items(), where.files, where.there, strict=True
        )
        if found
    }
    broken = [each for each in broken if each.image is None or each.image in here]
    items = (
        _whole_images(path, here, objects, broken, len(kind.keypoints))
        if whole
        else _objects(here, objects, broken, len(kind.keypoints))
    )
    if all(item.problem for item in items) and not broken:
        raise missing_error(f"{where.root} holds no image with an object of {path}", remedy)
    notes = [*where.notes, *_counted(path, counts)] if not whole else list(where.notes)
    without = sum(entry.box is None for entry in objects)
    if without and not whole:
        notes.append(
            f"{without} objects of {path} have no box: theirs is that of their keypoints. To take "
            "images as they are, give --set data.whole=true."
        )
    items = [item._replace(file=str(where.root / item.file)) for item in items]
    return _Read(items, kind.keypoints, tuple(notes))


def _choose(path: Path, kinds: Sequence[Kind], wanted: str | None) -> Kind:
    """Return the kind of object that is wanted, or the only one."""
    if not kinds:
        raise malformed(
            path,
            "categories",
            "none has 'keypoints', the list of their names, and no annotation has any",
            "Choose the JSON of keypoints, or add the list to the category.",
        )
    if wanted is None and len(kinds) == 1:
        return kinds[0]
    chosen = [kind for kind in kinds if wanted in (kind.name, *kind.name.split(", "))]
    if len(chosen) != 1:
        names = ", ".join(kind.name for kind in kinds)
        raise malformed(
            path,
            "categories",
            f"there is no '{shown(wanted)}' with keypoints, but {names}"
            if wanted
            else f"several have keypoints, and not the same: {names}",
            "Choose one with --set data.category=NAME.",
        )
    return chosen[0]


def _objects(
    images: Mapping[str, ImageEntry],
    objects: Sequence[ObjectEntry],
    broken: Sequence[Broken],
    count: int,
) -> list[Item]:
    """Return an item for each object of an image that is there, and for what cannot be used."""
    items = []
    for entry in objects:
        image = images.get(entry.image)
        if image is None:
            continue
        key = f"{image.file}#{entry.number}"
        items.append(Item(image.file, key, entry.points, entry.box, image.size))
    return items + [_broken(each, images, count) for each in broken]


def _broken(entry: Broken, images: Mapping[str, ImageEntry], count: int) -> Item:
    image = None if entry.image is None else images.get(entry.image)
    file, key = ("", entry.key) if image is None else (image.file, f"{image.file}#{entry.key}")
    return Item(file, key, np.full((count, 2), np.nan), problem=entry.problem)


def _whole_images(
    path: Path,
    images: Mapping[str, ImageEntry],
    objects: Sequence[ObjectEntry],
    broken: Sequence[Broken],
    count: int,
) -> list[Item]:
    """Return each image with its object, or without any point."""
    ((most, several),) = Counter(entry.image for entry in objects).most_common(1)
    if several > 1:
        name = images[most].file if most in images else f"image {most}"
        raise malformed(
            path,
            shown(name),
            f"the image has {several} objects with keypoints",
            "Leave data.whole off, which cuts out each object.",
        )
    by_image = {entry.image: entry.points for entry in objects}
    problems = {each.image: f"{each.key}: {each.problem}" for each in broken}
    unknown = np.full((count, 2), np.nan)
    items = [
        Item(
            image.file,
            image.file,
            by_image.get(number, unknown),
            size=image.size,
            problem=problems.get(number, ""),
        )
        for number, image in images.items()
    ]
    return items + [_broken(each, images, count) for each in broken if each.image is None]


def _counted(path: Path, counts: Mapping[str, int]) -> list[str]:
    """Say which objects are left out that nothing is wrong with."""
    if not counts:
        return []
    each = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    return [f"{sum(counts.values())} objects of {path} are left out: {each}."]


def _places(path: Path) -> list[Path]:
    """Return the folders where the images of a JSON may be, as COCO's and others' lie."""
    ending = path.stem.rpartition("_")[2]
    beside = (Path(), Path("images"), Path(ending), Path("images", ending))
    return [folder / place for folder in (path.parent, path.parent.parent) for place in beside]


def _compare(path: Path, test: Path, first: _Read, second: _Read) -> None:
    if first.names != second.names:
        raise malformed(
            test,
            "categories",
            f"its keypoints are {', '.join(second.names)}, but those of {path} are "
            f"{', '.join(first.names)}",
            "Give files of the same keypoints in the same order.",
        )
    files = [{item.file for item in each.items if not item.problem} for each in (first, second)]
    both = sorted(files[0] & files[1])
    if both:
        raise missing_error(
            f"{len(both)} images are in {path} and in {test}: {some(both)}",
            "Take them out of one of them, so that they do not train and test.",
        )
