"""Images listed in a CSV, with points, subject and split where its columns say them."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.files import EYE_CORNERS, Files, choose_pair, choose_root, present
from lmkit.data.sets.lists import malformed, missing_error
from lmkit.errors import ExitCode, LmkitError

_SPLITS = ("train", "val", "test")


class CsvTable(Files):
    """Images listed in a CSV with a header line.

    Its columns: ``file``; if known ``subject``; if wanted ``split``, each ``train``, ``val`` or
    ``test``; and points in pixels of the image, the centre of its first pixel at 0, as columns
    x0, y0, x1, y1, ... or nose_x, nose_y, .... An empty cell is not known, and neither is the
    point it belongs to; the row's other points are.

    Where a row says ``test``, the rows without a split train, and ``val`` is left alone. Where none
    does, lmkit holds out a share of all rows. Rows whose image is not there are left out.

    Args:
        path: The CSV.
        root: The folder its files are relative to; by default the CSV's own, or else the folder
            ``images`` beside it.
        normalising_pair: The two points, counted from 0, whose distance normalises errors; by
            default 36,45 of 68 points (the outer eye corners in iBUG's order), else 0,1.

    Raises:
        LmkitError: If the CSV is malformed, or none of its images is there.
    """

    def __init__(
        self,
        *,
        path: Path,
        root: Path | None = None,
        normalising_pair: tuple[int, int] | None = None,
    ) -> None:
        header, rows = _read(path)
        columns = _columns(path, header)
        files = _files(path, rows)
        splits = np.array([_split_of(path, line, row) for line, row in rows])
        points = _points(path, rows, columns)
        folders = [path.parent, path.parent / "images"] if root is None else [root]
        folder = choose_root(folders, files)
        there, notes = present(
            folder,
            files,
            listed_by=path,
            remedy="Put them there, or name their folder with --set data.root=FOLDER.",
        )
        kept = np.flatnonzero(there).tolist()
        splits = splits[kept]
        train, test = np.isin(splits, ("train", "")), splits == "test"
        super().__init__(
            folder,
            [files[index] for index in kept],
            points=points[kept],
            subjects=[rows[index][1].get("subject", "") for index in kept],
            parts={"train": train, "test": test} if test.any() else None,
        )
        self.point_names = tuple(columns)
        self.normalising_pair = choose_pair(
            len(columns), normalising_pair, EYE_CORNERS.get(len(columns), (0, 1))
        )
        used = {"file", "subject", "split"}.union(*columns.values())
        unused = [name for name in header if name not in used]
        if unused:
            notes += (f"Columns of {path} that mean nothing here: {', '.join(unused)}.",)
        self.notes = notes


Rows = Sequence[tuple[int, Mapping[str, str]]]
"""For each row its line in the file, counted from 1, and its cells by column."""


def _read(path: Path) -> tuple[list[str], Rows]:
    """Read the header and the rows that are not blank."""
    lines = _lines(path)
    header = lines[0][1] if lines else []
    if "file" not in header:
        found = ", ".join(header[:8]) if header else "nothing"
        raise malformed(
            path,
            lines[0][0] if lines else 1,
            f"the header has no column 'file' (it has: {found})",
            "Name the column of the images 'file', and put commas between the columns.",
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise malformed(
            path, 1, f"two columns are called '{repeated[0]}'", "Rename or remove one of them."
        )
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise malformed(
                path,
                line,
                f"{len(cells)} cells where the header has {len(header)}",
                "Give every row a cell for each column; leave it empty where nothing is known.",
            )
    if len(lines) == 1:
        raise malformed(path, 1, "no row follows the header", "Add a row for each image.")
    rows = [(line, dict(zip(header, cells, strict=True))) for line, cells in lines[1:]]
    return header, rows


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    if not path.is_file():
        raise missing_error(
            f"There is not a CSV {path}",
            "Give --data csv:FILE the path of a CSV with a header line and a column 'file'.",
        )
    try:
        # A byte-order mark, as spreadsheets write it, would become part of the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LmkitError(
            f"{path} cannot be read as a CSV: {error}.",
            remedy="Save it as plain text in UTF-8, with commas between the cells.",
            code=ExitCode.DATA,
        ) from error
    return [(line, cells) for line, cells in lines if any(cells)]


def _columns(path: Path, header: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the columns of x and y for each point's name, in the order of the header."""
    found: dict[str, dict[str, str]] = {}
    for column in header:
        match = re.fullmatch(r"([xy])(\d+)|(.+)_([xy])", column)
        if match:
            name, axis = match[2] or match[3], match[1] or match[4]
            found.setdefault(name, {})[axis] = column
    for name, axes in found.items():
        if len(axes) == 1:
            ((axis, column),) = axes.items()
            raise malformed(
                path,
                1,
                f"point '{name}' has a column '{column}' but none for "
                f"{'y' if axis == 'x' else 'x'}",
                f"Add it, or rename '{column}' if it is not a coordinate.",
            )
    return {name: (axes["x"], axes["y"]) for name, axes in found.items()}


def _files(path: Path, rows: Rows) -> list[str]:
    first: dict[str, int] = {}
    for line, row in rows:
        file = row["file"]
        if not file:
            raise malformed(path, line, "the cell 'file' is empty", "Name an image, or remove it.")
        if file in first:
            raise malformed(
                path,
                line,
                f"{file} is listed already, on line {first[file]}",
                "Remove one of them.",
            )
        first[file] = line
    return list(first)


def _split_of(path: Path, line: int, row: Mapping[str, str]) -> str:
    split = row.get("split", "")
    if split and split not in _SPLITS:
        raise malformed(
            path, line, f"'{split}' is not a split", f"Write {', '.join(_SPLITS)} or nothing."
        )
    return split


def _points(path: Path, rows: Rows, columns: Mapping[str, tuple[str, str]]) -> NDArray[np.float32]:
    """Return (N, P, 2), both coordinates NaN where either is not known."""
    names = [name for pair in columns.values() for name in pair]
    points = np.array(
        [[_number(path, line, name, row[name]) for name in names] for line, row in rows],
        dtype=np.float32,
    )
    points = points.reshape(len(rows), len(columns), 2)
    points[np.isnan(points).any(axis=2)] = np.nan
    return points


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise malformed(
            path,
            line,
            f"{column} is '{cell}', which is not a number",
            "Write pixels, or nothing where the point is not known.",
        )
    return value
