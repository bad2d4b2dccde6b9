"""Images listed in a CSV, with points, subject and split where its columns say them."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import Files
from lmkit.data.sets.lists import (
    NOT_KNOWN,
    coordinate,
    malformed,
    missing_error,
    read_text,
    shown,
)
from lmkit.data.sets.locate import locate
from lmkit.data.sets.normalising import choose_pair, near_note
from lmkit.data.sets.objects import unique
from lmkit.data.sets.table_header import Header, read_header
from lmkit.errors import ExitCode, LmkitError

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(NOT_KNOWN, ""),
}
_HEADER = 4  # lines that a header has at most


class CsvTable(Files):
    """Images listed in a CSV with a header line, or with those of DeepLabCut and Lightning Pose.

    Its columns: ``file``; if known ``subject``; if wanted ``split``, each ``train``, ``val`` or
    ``test``; and points in pixels of the image, the centre of its first pixel at 0, as columns
    x0, y0, x1, y1, ... or nose_x, nose_y, .... A cell that is empty, ``nan``, ``NA``, ``None`` or
    ``null`` is not known, and neither is the point it belongs to; the row's other points are.
    Columns of a box are not taken for points, and a note names them.

    Where a row says ``test``, the rows without a split train, and ``val`` is left alone. Where none
    does, lmkit holds out a share of all rows. Rows whose image is not there are left out. Rows that
    are malformed are left out and counted as images are that cannot be read.

    Args:
        path: The CSV.
        root: The folder its files are relative to; by default the CSV's own, or else the folder
            ``images`` beside it; for DeepLabCut's also the project's, two folders above.
        normalising_pair: The two points, counted from 0, whose distance normalises errors; by
            default the outer corners or the centres of the eyes, by the points' names or, where
            those are numbers, by their number (19, 21, 29, 68, 98, 106), else 0,1.

    Raises:
        LmkitError: If the header is malformed, the CSV cannot be read, or none of its images is
            there.
    """

    def __init__(
        self,
        *,
        path: Path,
        root: Path | None = None,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        header, rows = _read(path)
        folders = [path.parent, path.parent / "images"]
        if header.is_of_a_project:
            folders += list(path.absolute().parents[1:3])
        where = locate(
            folders if root is None else [root],
            [row.file for row in rows],
            listed_by=path,
            remedy="Put them there, or name their folder with --set data.root=FOLDER.",
        )
        kept = np.flatnonzero(where.there).tolist()
        rows = [rows[number]._replace(file=where.files[number]) for number in kept]
        rows = list(_once(rows))
        splits = np.array([row.split for row in rows])
        train, test = np.isin(splits, ("train", "")), splits == "test"
        points = np.array([row.points for row in rows]).reshape(len(rows), len(header.points), 2)
        points[np.isnan(points).any(axis=2)] = np.nan
        super().__init__(
            where.root,
            [row.file for row in rows],
            keys=unique([row.file if not row.problem else _label(row) for row in rows]),
            points=points,
            subjects=[row.subject for row in rows],
            parts={"train": train, "test": test} if test.any() else None,
            problems={number: row.problem for number, row in enumerate(rows) if row.problem},
        )
        self.point_names = tuple(header.points)
        self.normalising_pair = choose_pair(self.point_names, normalising_pair)
        near = near_note(points, self.point_names, self.normalising_pair)
        self.notes = (*where.notes, *header.notes, *near)


class _Row(NamedTuple):
    line: int
    file: str
    points: NDArray[np.float64]
    subject: str = ""
    split: str = ""
    problem: str = ""


def _label(row: _Row) -> str:
    return f"{row.file or 'a row'} (line {row.line})"


def _read(path: Path) -> tuple[Header, list[_Row]]:
    """Read what the columns mean, and the rows that are not blank."""
    if not path.is_file():
        raise missing_error(
            f"There is not a CSV {path}",
            "Give --data csv:FILE the path of a CSV with a header line and a column 'file'.",
        )
    lines = _lines(path)
    first = list(islice(lines, _HEADER))
    header = read_header(path, first)
    width = len(first[0][1])
    # The columns of all points in turn, x before y.
    places = [place for pair in header.points.values() for place in pair]
    rows = [_row(line, cells, width, header, places) for line, cells in first[header.lines :]]
    rows += [_row(line, cells, width, header, places) for line, cells in lines]
    if not rows:
        raise malformed(path, first[0][0], "no row follows the header", "Add a row for each image.")
    return header, rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not blank, each with its number and its cells."""
    # A byte-order mark, as spreadsheets write it, would become part of the first column's name.
    reader = csv.reader(io.StringIO(read_text(path, "a CSV"), newline=""), strict=True)
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise LmkitError(
            f"{path} cannot be read as a CSV: line {reader.line_num}: {error}.",
            remedy="Save it as plain text in UTF-8, with commas between the cells.",
            code=ExitCode.DATA,
        ) from error


def _row(
    line: int, cells: Sequence[str], width: int, header: Header, places: Sequence[int]
) -> _Row:
    """Return a row, or what is wrong with it."""
    unknown = np.full(len(places), np.nan)
    file = "/".join(cells[place] for place in header.file if place < len(cells) and cells[place])
    if len(cells) != width:
        problem = f"{len(cells)} cells where the header has {width}"
        return _Row(line, file, unknown, problem=problem)
    if not file:
        return _Row(line, "", unknown, problem="its cell 'file' is empty")
    subject = "" if header.subject is None else cells[header.subject]
    written = "" if header.split is None else cells[header.split]
    split = _SPLITS.get(written.lower())
    if split is None:
        problem = f"'{shown(written)}' is not a split (train, val, test or nothing)"
        return _Row(line, file, unknown, problem=problem)
    points = unknown
    for number, place in enumerate(places):
        try:
            points[number] = coordinate(cells[place])
        except ValueError as error:
            name, axis = [*header.points][number // 2], "xy"[number % 2]
            problem = f"{axis} of point '{shown(name)}' is '{shown(cells[place])}', {error}"
            return _Row(line, file, np.full(len(places), np.nan), problem=problem)
    subject = "" if subject.lower() in NOT_KNOWN else subject
    return _Row(line, file, points, subject, split)


def _once(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Yield the rows; of those that name one image, all but the first have a problem."""
    first: dict[str, int] = {}
    for row in rows:
        earlier = first.setdefault(row.file, row.line)
        if row.file and not row.problem and earlier != row.line:
            problem = f"it is listed already, on line {earlier}"
            row = row._replace(points=row.points * np.nan, problem=problem)
        yield row
