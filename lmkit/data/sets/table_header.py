"""What the columns of a table of images mean: one header line, or the three of DeepLabCut.

DeepLabCut (Mathis et al., Nature Neuroscience 2018; github.com/DeepLabCut/DeepLabCut) writes its
labels with the header lines ``scorer``, ``bodyparts`` and ``coords``, and where there are several
animals ``individuals``; Lightning Pose (Biderman et al., Nature Methods 2024) reads and writes the
same.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lmkit.data.sets.lists import malformed, shown, some

_FILE = ("file", "image", "image_name", "image_path", "file_name", "filename", "filepath", "path")
_SPLIT = ("split", "set", "subset")
_SUBJECT = ("subject",)
_NUMBERED = re.compile(r"([xy])[_. ]?(\d{1,9})|(\d{1,9})[_. ]?([xy])", re.IGNORECASE)
_NAMED = re.compile(r"(.*[^_. ])[_. ]([xy])", re.IGNORECASE | re.DOTALL)
_WORDS_OF_BOXES = frozenset(
    ("bbox", "box", "boundingbox", "bounding", "crop", "roi", "rect", "rectangle", "centroid")
)
_NAMES_OF_BOXES = frozenset(
    ("center", "centre", "min", "max", "origin", "offset", "size", "scale", "image", "img", "c")
)
_EXTENTS = ("w", "h", "width", "height")


class Header(NamedTuple):
    """What the columns mean, by their places."""

    file: tuple[int, ...]
    """The columns that name the image, to be joined by slashes."""
    points: dict[str, tuple[int, int]]
    """The columns of x and y for each point's name, in the order of the header."""
    subject: int | None
    split: int | None
    lines: int
    """How many lines the header has."""
    notes: tuple[str, ...]

    @property
    def is_of_a_project(self) -> bool:
        """Whether images are listed relative to a project's folder, as DeepLabCut does."""
        return self.lines > 1


def read_header(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Header:
    """Find out what the columns mean.

    Args:
        path: The table, for messages.
        lines: Its first four lines that are not blank, each with its number and its cells.

    Raises:
        LmkitError: If they do not say which column names the images, or are contradictory.
    """
    if len(lines) > 2 and lines[0][1][0].lower() == "scorer":
        return _of_deeplabcut(path, lines)
    number, header = lines[0] if lines else (1, [])
    lower = [name.lower() for name in header]
    file = _the_column(lower, _FILE)
    if file is None:
        found = ", ".join(map(shown, header[:8])) if header else "nothing"
        raise malformed(
            path,
            number,
            f"the header has no column 'file' (it has: {found})",
            "Name the column of the images 'file', and put commas between the columns.",
        )
    repeated = [name for name, count in Counter(header).items() if name and count > 1]
    if repeated:
        raise malformed(
            path,
            number,
            f"two columns are called '{shown(repeated[0])}'",
            "Rename or remove one of them.",
        )
    points, boxes = _points(path, number, header)
    subject, split = _the_column(lower, _SUBJECT), _the_column(lower, _SPLIT)
    notes = []
    for column, name in ((file, "file"), (split, "split")):
        if column is not None and lower[column] != name:
            notes.append(f"Column {shown(header[column])} of {path} is taken for '{name}'.")
    if boxes:
        notes.append(
            f"Columns of {path} that seem to be a box, and are not taken for points: "
            f"{some(boxes)}. Rename them if they are points, such as nose_x, nose_y."
        )
    used = {file, subject, split}.union(*points.values())
    unused = [
        name or "one without a name"
        for column, name in enumerate(header)
        if column not in used and name not in boxes
    ]
    if unused:
        notes.append(f"Columns of {path} that mean nothing here: {some(unused)}.")
    return Header((file,), points, subject, split, 1, tuple(notes))


def _the_column(lower: Sequence[str], names: Sequence[str]) -> int | None:
    return next((lower.index(name) for name in names if name in lower), None)


def _points(
    path: Path, line: int, header: Sequence[str]
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Return the columns of each point, and the names of those that are a box."""
    found: dict[tuple[bool, str], dict[str, int]] = {}
    for column, text in enumerate(header):
        if match := _NUMBERED.fullmatch(text):
            key, axis = (True, match[2] or match[3]), match[1] or match[4]
        elif match := _NAMED.fullmatch(text):
            key, axis = (False, match[1]), match[2]
        else:
            continue
        if found.setdefault(key, {}).setdefault(axis.lower(), column) != column:
            raise malformed(
                path,
                line,
                f"point '{shown(key[1])}' has two columns for {axis.lower()}",
                "Rename or remove one of them.",
            )
    lower = {name.lower() for name in header}
    named = [name for numbered, name in found if not numbered and not _is_box(name, lower)]
    points, boxes = {}, []
    for (numbered, name), axes in found.items():
        # Beside points that have names, x0, y0, x1, y1 are the corners of a box.
        if (numbered and named) or (not numbered and _is_box(name, lower)):
            boxes += [header[column] for column in axes.values()]
            continue
        if len(axes) == 1:
            ((axis, column),) = axes.items()
            raise malformed(
                path,
                line,
                f"point '{shown(name)}' has a column '{shown(header[column])}' but none for "
                f"{'y' if axis == 'x' else 'x'}",
                f"Add it, or rename '{shown(header[column])}' if it is not a coordinate.",
            )
        points[name] = (axes["x"], axes["y"])
    return points, boxes


def _is_box(name: str, columns: set[str]) -> bool:
    """Say whether a name is that of a box, its centre or its corner, and not of a point."""
    words = re.findall(r"[a-z]+", name.lower())
    return (
        not _WORDS_OF_BOXES.isdisjoint(words)
        or (len(words) == 1 and words[0] in _NAMES_OF_BOXES)
        or any(f"{name.lower()}{sign}{extent}" in columns for sign in "_. " for extent in _EXTENTS)
    )


def _of_deeplabcut(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Header:
    rows: dict[str, list[str]] = {}
    for number, cells in lines:
        name = cells[0].lower()
        if name not in ("scorer", "individuals", "bodyparts", "coords"):
            break
        if len(cells) != len(lines[0][1]) or name in rows:
            raise malformed(
                path,
                number,
                f"the header line '{name}' does not fit the one above it",
                "Export the labels again.",
            )
        rows[name] = cells
    if "bodyparts" not in rows or "coords" not in rows:
        raise malformed(
            path,
            lines[0][0],
            "a header of DeepLabCut begins here, and lacks a line 'bodyparts' or 'coords'",
            "Export the labels again, or write a CSV with one header line and a column 'file'.",
        )
    coords = [cell.lower() for cell in rows["coords"]]
    # Either one column names the image, or its folders and its name have a column each.
    first = next((place for place in range(1, len(coords)) if coords[place]), len(coords))
    own: list[str] = [cell for cell in rows.get("individuals", [])[first:] if cell]
    several = len(set(own)) > 1
    axes: dict[str, dict[str, int]] = {}
    for column in range(first, len(coords)):
        name = rows["bodyparts"][column]
        if several:
            name = f"{rows['individuals'][column]} {name}"
        if axes.setdefault(name, {}).setdefault(coords[column], column) != column:
            raise malformed(
                path,
                lines[0][0],
                f"bodypart '{shown(name)}' has two columns {shown(coords[column])}",
                "Take the labels of one scorer.",
            )
    lacking = [name for name, own in axes.items() if not {"x", "y"} <= own.keys()]
    if lacking:
        raise malformed(
            path,
            lines[0][0],
            f"bodypart '{shown(lacking[0])}' has no column x or none y",
            "Export the labels again.",
        )
    points = {name: (own["x"], own["y"]) for name, own in axes.items()}
    notes: tuple[str, ...] = ()
    if any("likelihood" in own for own in axes.values()):
        notes = (f"{path} has likelihoods: it holds predictions, which are taken for annotation.",)
    return Header(tuple(range(first)), points, None, None, len(rows), notes)
