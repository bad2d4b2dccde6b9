"""The entries of COCO's JSON: each is read, or it is said what is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.lists import FURTHEST, field, malformed, numbers, own_field, shown

UNNAMED = "objects"
"""What objects are called that no category names."""


class ImageEntry(NamedTuple):
    """An image."""

    file: str
    size: tuple[int, int]
    """Width and height; 0 where not known."""


class Kind(NamedTuple):
    """The objects that have the same keypoints."""

    name: str
    """The names of their categories."""
    categories: frozenset[str | None]
    """Their ids; None stands for objects without a category."""
    keypoints: tuple[str, ...]


class ObjectEntry(NamedTuple):
    """An object of the kind that was asked for."""

    number: str
    """Its id, or its place in the list."""
    image: str
    """The id of its image."""
    points: NDArray[np.float64]
    """(P, 2), (NaN, NaN) where not known."""
    box: NDArray[np.float64] | None
    """(4,), left, top, width and height; None if it has none."""


class Broken(NamedTuple):
    """An entry that cannot be used."""

    key: str
    problem: str
    image: str | None = None
    """The id of its image, if it has one."""


def read_images(path: Path, content: Any) -> tuple[dict[str, ImageEntry], list[Broken]]:
    """Return the images by id, and the entries that are no image."""
    images: dict[str, ImageEntry] = {}
    broken = []
    for where, entry in _entries(path, content, "images"):
        try:
            number = identity(entry, "id")
            file = own_field(entry, "file_name", str)
            if not file:
                raise ValueError("its 'file_name' is empty")
            if number in images:
                raise ValueError("its id occurs twice")
        except ValueError as error:
            broken.append(Broken(where, str(error)))
            continue
        width, height = (entry.get(side) for side in ("width", "height"))
        known = isinstance(width, int) and isinstance(height, int)
        whole = known and 0 < width <= FURTHEST and 0 < height <= FURTHEST
        images[number] = ImageEntry(file, (width, height) if whole else (0, 0))
    return images, broken


def read_kinds(path: Path, content: Any) -> list[Kind]:
    """Return the kinds of object that have keypoints.

    Categories of the same keypoints are one kind. Where a category does not name its keypoints,
    they are numbered, as many as most of its objects have.

    Raises:
        LmkitError: If two keypoints of a category have one name.
    """
    counts = _keypoint_counts(path, content)
    kinds: dict[tuple[str, ...], tuple[list[str], set[str | None]]] = {}
    seen = set()
    listed = content.get("categories") if isinstance(content, Mapping) else None
    for where, entry in _entries(path, content, "categories") if listed else ():
        try:
            number = identity(entry, "id")
        except ValueError as error:
            raise malformed(path, where, str(error), "Give each category one.") from None
        seen.add(number)
        given = entry.get("keypoints")
        names = tuple(map(shown, given)) if isinstance(given, list) else ()
        if len({*names}) < len(names):
            raise malformed(
                path, where, "two of its 'keypoints' have one name", "Name each keypoint."
            )
        names = names or _numbered(counts.get(number))
        if names:
            labels, numbers = kinds.setdefault(names, ([], set()))
            labels.append(shown(entry.get("name", number)))
            numbers.add(number)
    for other in counts.keys() - seen:
        # Objects of a category that is not listed, or of none.
        names = _numbered(counts[other])
        only = next(iter(kinds)) if len(kinds) == 1 else ()
        if other is None and len(only) == len(names):
            kinds[only][1].add(None)
        elif names and not listed:
            kinds.setdefault(names, ([UNNAMED], set()))[1].add(other)
    return [
        Kind(", ".join(labels), frozenset(own), names) for names, (labels, own) in kinds.items()
    ]


def read_objects(
    path: Path, content: Any, kind: Kind, images: Mapping[str, ImageEntry], counts: Counter[str]
) -> Iterator[ObjectEntry | Broken]:
    """Yield the objects of a kind that are no crowds, and what cannot be used.

    Args:
        path: The file.
        content: What it holds.
        kind: The kind.
        images: The images by id.
        counts: Told how many objects are crowds, and how many of another kind.
    """
    seen = set()
    for where, entry in _entries(path, content, "annotations"):
        image = ""
        try:
            if not isinstance(entry, Mapping):
                raise ValueError("it is no object")
            category = identity(entry, "category_id") if "category_id" in entry else None
            if category not in kind.categories:
                if category is None:
                    raise ValueError("it has no 'category_id'")
                counts["of another kind"] += 1
                continue
            if entry.get("iscrowd"):
                counts["crowds"] += 1
                continue
            image = identity(entry, "image_id")
            if image not in images:
                raise ValueError(f"no image has its image_id {shown(image)}")
            number = where if entry.get("id") is None else identity(entry, "id")
            if (image, number) in seen:
                raise ValueError("its id occurs twice on the image")
            points, box = _points(entry, len(kind.keypoints)), _box(entry)
        except ValueError as error:
            known = image if image in images else None
            yield Broken(where, str(error), known)
            continue
        seen.add((image, number))
        yield ObjectEntry(number, image, points, box)


def identity(entry: Any, name: str) -> str:
    """Return an id as text: 5, 5.0 and "5" are one.

    Raises:
        ValueError: If the entry has none. The text says so.
    """
    value = own_field(entry, name, (int, str, float))
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"its '{name}' is not a whole number")
        value = int(value)
    return str(value).strip()


def _entries(path: Path, content: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the entries of one of the file's lists, and what to call each in a message."""
    for place, entry in enumerate(field(path, "top level", content, name, list)):
        known = isinstance(entry, Mapping) and "id" in entry
        yield f"{name}[{place}]" + (f" (id {shown(entry['id'])[:40]})" if known else ""), entry


def _keypoint_counts(path: Path, content: Any) -> dict[str | None, Counter[int]]:
    """Count, for each category, how many keypoints its objects have."""
    found: dict[str | None, Counter[int]] = {}
    for _, entry in _entries(path, content, "annotations"):
        listed = entry.get("keypoints") if isinstance(entry, Mapping) else None
        if not isinstance(listed, list) or not listed or len(listed) % 3:
            continue
        try:
            number = identity(entry, "category_id") if "category_id" in entry else None
        except ValueError:
            continue
        found.setdefault(number, Counter())[len(listed) // 3] += 1
    return found


def _numbered(counts: Counter[int] | None) -> tuple[str, ...]:
    """Return names for as many keypoints as most objects have."""
    return tuple(map(str, range(counts.most_common(1)[0][0]))) if counts else ()


def _points(entry: Mapping[str, Any], count: int) -> NDArray[np.float64]:
    """Return (count, 2), (NaN, NaN) where not known; all, if the object has no keypoints."""
    if not entry.get("keypoints"):
        return np.full((count, 2), np.nan)
    listed = numbers(entry, "keypoints", (3 * count,), gaps=True).reshape(count, 3)
    points = np.where(listed[:, 2:] > 0, listed[:, :2], np.nan)
    lost = (listed[:, 2] > 0) & np.isnan(points).any(axis=1)
    if lost.any():
        raise ValueError(f"its keypoint {int(lost.argmax())} is visible, and it is not said where")
    return points


def _box(entry: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return the object's box, or None if it has none: it is absent, null, empty or a point."""
    if not entry.get("bbox"):
        return None
    box = numbers(entry, "bbox", (4,))
    if box[2:].min() < 0:
        raise ValueError("its 'bbox' has a negative width or height")
    return box if box[2:].max() > 0 else None
