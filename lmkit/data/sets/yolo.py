"""Keypoints as Ultralytics' YOLO pose models take them: a text file of labels for each image.

The format is told on docs.ultralytics.com, "Pose Estimation Datasets Overview".
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from lmkit.data.image_kinds import image_suffixes
from lmkit.data.sets.files import CUT_OUT, Files, check_margin
from lmkit.data.sets.listing import find_files
from lmkit.data.sets.lists import coordinate, malformed, missing_error, read_lines, read_text, shown
from lmkit.data.sets.locate import locate
from lmkit.data.sets.normalising import choose_pair, near_note
from lmkit.data.sets.objects import Item, boxed, unique
from lmkit.errors import LmkitError
from lmkit.storage import as_path, open_file

_NAME = "data.yaml"
_LARGEST_YAML = 2**20  # bytes
_MOST_KEYPOINTS = 10_000
_TURNED = range(5, 9)  # EXIF orientations that exchange width and height
_REMEDY = (
    f"Give --data yolo:FILE the path of a {_NAME}, or of its folder, that says kpt_shape, train "
    "and val."
)


class Yolo(Files):
    """Objects with keypoints in YOLO's pose format, each cut out by its box.

    The ``data.yaml`` says ``kpt_shape: [P, 3]`` (or ``[P, 2]``, without visibility), and in
    ``train``, ``val`` and ``test`` the folders of images, or text files that list images, relative
    to ``path`` or to itself. An image ``images/a.jpg`` has its labels in ``labels/a.txt``, an
    object a line: class, centre and size of the box, and P keypoints, as shares of the image's
    width and height. Times these they are taken to be pixels that count from 0, as COCO's are. A
    keypoint of visibility 0 is not known; without visibility, one at (0, 0) or below is not.

    Each object becomes the square around its box, enlarged. Boxes are annotation: results on them
    are comparable with others on the same boxes only. Objects of all classes are read. A line that
    is malformed is left out and counted as an image that cannot be read. ``train`` trains and fits;
    ``test``, or else ``val``, tests. Where those name no other images than ``train``, lmkit holds
    out a share.

    Args:
        path: The ``data.yaml``, or its folder.
        margin: The side of an object's square, as a multiple of the longer side of its box.
        normalising_pair: The two keypoints, counted from 0, whose distance normalises errors; by
            default the outer corners or the centres of the eyes, by the names in ``kpt_names`` or
            by the number of keypoints, else 0,1.

    Raises:
        LmkitError: If the ``data.yaml`` is malformed, or there are no images or no labels.
    """

    def __init__(
        self,
        *,
        path: Path,
        margin: float = 1.25,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        check_margin(margin)
        file = path / _NAME if path.is_dir() else path
        layout = _read_layout(file)
        notes: list[str] = []
        parts = {part: _images(file, layout, part, notes) for part in ("train", "val", "test")}
        if not parts["train"]:
            raise missing_error(f"{file} names no image that trains", _REMEDY)
        testing = "test" if parts["test"] else "val"
        train, test = parts["train"], parts[testing]
        if testing == "test" and parts["val"]:
            notes.append(f"The {len(parts['val'])} images of 'val' are left alone: 'test' tests.")
        both = {*train} & {*test}
        if both and {*train} != {*test}:
            raise missing_error(
                f"{len(both)} images are in 'train' and in '{testing}' of {file}, such as "
                f"{shown(min(both))}",
                "Take them out of one of them, so that they do not train and test.",
            )
        items: list[Item] = []
        tested: list[bool] = []
        for image, tests in [*((each, False) for each in train), *((each, True) for each in test)]:
            if not (tests and both):
                found = list(_objects(file.parent, image, layout))
                items += found
                tested += [tests] * len(found)
        if not any(np.isfinite(item.points).any() for item in items):
            raise missing_error(
                f"No image of {file} has labels with a known keypoint"
                + (f" ({items[0].key}: {items[0].problem})" if items else ""),
                "Put the labels in labels/ beside images/, a text file for each image.",
            )
        boxes = boxed(items, margin)
        points = np.array([item.points for item in items]).reshape(-1, layout.keypoints, 2)
        of_test = np.array(tested)
        super().__init__(
            file.parent,
            [item.file for item in items],
            keys=unique([item.key for item in items]),
            points=points,
            boxes=boxes,
            sizes=[item.size for item in items],
            parts={"train": ~of_test, "test": of_test} if of_test.any() else None,
            problems={n: item.problem for n, item in enumerate(items) if item.problem},
        )
        self.point_names = layout.names
        self.normalising_pair = choose_pair(layout.names, normalising_pair)
        labelled = len({item.file for item in items})
        without = len({*train, *test}) - labelled
        if without:
            notes.append(f"{without} images of {file} have no labels, and are left out.")
        near = near_note(points, layout.names, self.normalising_pair)
        self.notes = (CUT_OUT.format("object"), *notes, *near)


class _Layout(NamedTuple):
    """What a data.yaml says."""

    content: dict[str, Any]
    keypoints: int
    """How many there are of an object."""
    width: int
    """How many numbers a keypoint has: 2, or 3 with visibility."""
    names: tuple[str, ...]
    """The keypoints'."""


def _read_layout(file: Path) -> _Layout:
    if not file.is_file():
        raise missing_error(f"There is no {file}", _REMEDY)
    text = read_text(file, "YAML")
    try:
        if len(text) > _LARGEST_YAML:
            raise ValueError(f"it is longer than {_LARGEST_YAML:,} characters")
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else shown(error)
        raise malformed(file, "top level", f"it is not YAML: {reason}", _REMEDY) from None
    content = content if isinstance(content, dict) else {}
    match content.get("kpt_shape"):
        case [int(count), int(width)] if 0 < count <= _MOST_KEYPOINTS and width in (2, 3):
            pass
        case _:
            raise malformed(
                file,
                "kpt_shape",
                "it is not [P, 2] or [P, 3], for P keypoints",
                "Say how many keypoints an object has, and 3 if visibility follows x and y.",
            )
    given = content.get("kpt_names")
    if isinstance(given, dict):
        given = next(iter(given.values()), None)
    names = tuple(map(shown, given)) if isinstance(given, list) else ()
    if len({*names}) != count:
        names = tuple(map(str, range(count)))
    return _Layout(content, count, width, names)


def _images(file: Path, layout: _Layout, part: str, notes: list[str]) -> list[str]:
    """Return the images of a part, relative to the data.yaml's folder; none if it has none."""
    given = layout.content.get(part)
    words = given if isinstance(given, list) else [] if given is None else [given]
    base = layout.content.get("path")
    folder = file.parent
    # Written for another working directory, or, as Roboflow exports them, for one below.
    bases = [folder / str(base), folder] if isinstance(base, str) and base else [folder]
    images: list[str] = []
    for word in words:
        if not isinstance(word, str) or not word:
            raise malformed(file, part, "it does not name a folder or a list", _REMEDY)
        names = [word, word.lstrip("./")] if word.startswith("../") else [word]
        places = [each / name for each in bases for name in names]
        place = next((each for each in places if _exists(each)), None)
        if place is None and part == "train":
            raise missing_error(
                f"{places[0]}, which {file} names as '{part}', is not there", _REMEDY
            )
        if place is None:
            notes.append(f"{shown(places[0])}, which {file} names as '{part}', is not there.")
        elif place.is_dir():
            images += [str(place / name) for name in sorted(find_files(place, image_suffixes()))]
        else:
            listed = [line.strip() for line in read_lines(place) if line.strip()]
            where = locate(
                [place.parent, *bases],
                listed,
                listed_by=place,
                remedy="Put the images there, or correct the list.",
            )
            notes += where.notes
            images += [
                str(where.root / name)
                for name, there in zip(where.files, where.there, strict=True)
                if there
            ]
    return [_relative(image, folder) for image in dict.fromkeys(images)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _relative(image: str, folder: Path) -> str:
    path = Path(image)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else image


def _objects(folder: Path, image: str, layout: _Layout) -> Iterator[Item]:
    """Yield the objects of an image, and the lines of its labels that cannot be used."""
    labels = _labels(folder / as_path(image))
    if not labels.is_file():
        return
    unknown = np.full((layout.keypoints, 2), np.nan)
    try:
        lines = [line.split() for line in read_lines(labels)]
        size = _size(folder / as_path(image))
    except (OSError, ValueError) as error:
        yield Item(image, image, unknown, problem=shown(error))
        return
    except LmkitError as error:
        yield Item(image, image, unknown, problem=error.problem)
        return
    for number, words in enumerate(lines, start=1):
        if words:
            key = f"{image}#{number}"
            try:
                points, box = _object(words, layout, size)
            except ValueError as error:
                yield Item(image, key, unknown, problem=f"line {number} of its labels: {error}")
                continue
            if np.isfinite(points).any():
                yield Item(image, key, points, box, size)


def _object(
    words: Sequence[str], layout: _Layout, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an object's keypoints, (P, 2), and its box, (4,), in pixels."""
    wanted = 5 + layout.keypoints * layout.width
    if len(words) != wanted:
        raise ValueError(f"{len(words)} numbers where kpt_shape makes it {wanted}")
    values = np.array([coordinate(word) for word in words])
    if np.isnan(values).any():
        raise ValueError("not all are numbers")
    box, listed = values[1:5], values[5:].reshape(layout.keypoints, layout.width)
    if box.min() < 0 or box.max() > 1 or box[2:].max() == 0:
        raise ValueError("its box is not of shares in [0, 1], or has no area")
    known = listed[:, 2:] > 0
    if layout.width == 2:
        known = (listed.min(axis=1) >= 0) & (listed.max(axis=1) > 0)
    points = np.where(known.reshape(-1, 1), listed[:, :2] * size, np.nan)
    sides = box[2:] * size
    return points, np.concatenate([box[:2] * size - sides / 2, sides])


def _labels(image: Path) -> Path:
    """Return where the labels of an image are: in labels/ for the last images/ of its path."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _size(image: Path) -> tuple[int, int]:
    """Return the width and height of an image as it is read, upright, from its header."""
    try:
        with open_file(image) as file, Image.open(file) as opened:
            width, height = opened.size
            turned = opened.getexif().get(0x0112) in _TURNED
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"it is damaged ({type(error).__name__})") from error
    return (height, width) if turned else (width, height)
