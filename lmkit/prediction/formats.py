"""The formats of other tools that predictions are written in, entry by entry.

- ``coco``: one JSON of images, annotations and categories, as COCO's own keypoints are
  (cocodataset.org/#format-data) and as pycocotools reads them. Keypoints are pixels that count
  from 0. One that is not known is 0, 0 with a visibility of 0; the others have 2.
- ``dlc``: a CSV with the three header rows of DeepLabCut (Mathis et al. 2018): scorer, bodyparts,
  coords. Where confidence is written, it is the likelihood. What is not known is an empty cell.
"""

import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from lmkit import __version__

Points = Sequence[Sequence[float]]
"""(N, 2), x and y in pixels of the image; NaN where not known."""

WriteEntry = Callable[[str, tuple[int, int] | None, Points, Sequence[float] | None], None]
"""Takes an image's name, its width and height, its points, and their confidence, (N,)."""

End = Callable[[], Iterator[str]]
"""Yields the text after the last entry."""

_LARGEST = 1_000_000
"""The characters about images that are kept in memory; more of them are kept in a file."""


def coco(file: TextIO, names: Sequence[str], sure: bool) -> tuple[WriteEntry, End]:
    """Begin a file of COCO's keypoints.

    Args:
        file: To write to.
        names: Of the points.
        sure: Whether entries have a confidence; its mean over the points is then their ``score``.
    """
    category = {"id": 1, "name": "object", "keypoints": list(names), "skeleton": []}
    about = {"info": {"description": f"lmkit {__version__}"}, "categories": [category]}
    file.write(json.dumps(about)[:-1] + ', "annotations": [\n')
    # What is said of images follows the annotations, and any number of them is to fit.
    images = tempfile.SpooledTemporaryFile(  # noqa: SIM115 -- closed when all is written
        max_size=_LARGEST, mode="w+", encoding="utf-8", errors="surrogateescape"
    )
    count = 0

    def write(
        name: str,
        size: tuple[int, int] | None,
        points: Points,
        confidence: Sequence[float] | None,
    ) -> None:
        nonlocal count
        separator = ",\n" if count else ""
        count += 1
        width, height = size or (None, None)
        entry = {"id": count, "file_name": name, "width": width, "height": height}
        images.write(separator + json.dumps(entry))
        file.write(separator + json.dumps(_annotation(count, points, confidence if sure else None)))

    def end() -> Iterator[str]:
        yield '\n], "images": [\n'
        with images:
            images.seek(0)
            yield from images
        yield "\n]}\n"

    return write, end


def _annotation(number: int, points: Points, confidence: Sequence[float] | None) -> dict[str, Any]:
    known = [point for point in points if not any(map(math.isnan, point))]
    keypoints: list[float] = []
    for x, y in points:
        missing = math.isnan(x) or math.isnan(y)
        keypoints += [0, 0, 0] if missing else [round(x, 3), round(y, 3), 2]
    left, top = (min((point[axis] for point in known), default=0.0) for axis in (0, 1))
    right, bottom = (max((point[axis] for point in known), default=0.0) for axis in (0, 1))
    box = [round(value, 3) for value in (left, top, right - left, bottom - top)]
    entry = {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box,
        "area": round(box[2] * box[3], 3),
        "num_keypoints": len(known),
        "keypoints": keypoints,
    }
    if confidence is not None:
        entry["score"] = round(sum(confidence) / len(confidence), 4)
    return entry


def deeplabcut(file: TextIO, names: Sequence[str], sure: bool) -> tuple[WriteEntry, End]:
    """Begin a table of DeepLabCut.

    Args:
        file: To write to.
        names: Of the points.
        sure: Whether entries have a confidence, the likelihood.
    """
    coords = ["x", "y", "likelihood"] if sure else ["x", "y"]
    table = csv.writer(file)
    table.writerow(["scorer", *["lmkit"] * (len(names) * len(coords))])
    table.writerow(["bodyparts", *(name for name in names for _ in coords)])
    table.writerow(["coords", *coords * len(names)])

    def write(
        name: str,
        size: tuple[int, int] | None,
        points: Points,
        confidence: Sequence[float] | None,
    ) -> None:
        cells: list[str] = []
        for number, point in enumerate(points):
            cells += ["" if math.isnan(value) else f"{value:.3f}" for value in point]
            if sure and confidence is not None:
                cells.append(f"{confidence[number]:.4f}")
        table.writerow([name, *cells])

    return write, lambda: iter(())


FORMATS = {"coco": coco, "dlc": deeplabcut}
"""What begins a file of each format."""
