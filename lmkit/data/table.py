"""Pictures listed in a CSV, with points, subject and split where its columns say them."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmkit.data.pictures import load_image, quick_problem
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part

_SPLITS = ("train", "val", "test")
_EYE_CORNERS = {68: (36, 45)}  # the outer corners of the eyes in iBUG's order
_NAMED = 3  # how many pictures a message names


class Table(Dataset):
    """Pictures listed in a CSV with a header line.

    Its columns: ``file``; if known ``subject``; if wanted ``split``, each ``train``, ``val`` or
    ``test``; and points in pixels of the picture, the centre of its first pixel at 0, as columns
    x0, y0, x1, y1, ... or nose_x, nose_y, .... An empty cell is not known, and neither is the
    point it belongs to; the row's other points are.

    Where a row says ``test``, the rows without a split train, and ``val`` is left alone. Where none
    does, lmkit holds out a share of all rows.

    Args:
        path: The CSV.
        root: The folder its files are relative to; by default the CSV's own, or else the folder
            ``images`` beside it.
        normalising_pair: The two points, counted from 0, whose distance normalises errors; by
            default 36,45 of 68 points (the outer eye corners in iBUG's order), else 0,1.

    Raises:
        LmkitError: If the CSV is malformed, or one of its pictures is missing.
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
        self._keys = _files(path, rows)
        self._root = _find_root(path, root, self._keys)
        self._subjects = [row.get("subject", "") or None for _, row in rows]
        self._splits = [_split_of(path, line, row) for line, row in rows]
        self._points = _points(path, rows, columns)
        self.point_names = tuple(columns)
        self.normalising_pair = self._pair(normalising_pair)
        used = {"file", "subject", "split"}.union(*columns.values())
        unused = [name for name in header if name not in used]
        if unused:
            self.notes = (f"Columns of {path} that mean nothing here: {', '.join(unused)}.",)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """Return the file as the CSV writes it."""
        return self._keys[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        return load_image(self._root / self._keys[index])

    def annotation(self, index: int) -> Annotation:
        """See [Dataset][lmkit.api.Dataset]."""
        points = self._points[index] if self._is_annotated(index) else None
        return Annotation(points=points, subject=self._subjects[index])

    def indices(self, part: Part) -> list[int] | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if "test" not in self._splits:
            return None
        wanted = ("test",) if part == "test" else ("train", "")
        chosen = [index for index, split in enumerate(self._splits) if split in wanted]
        return [i for i in chosen if self._is_annotated(i)] if part == "fit" else chosen

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return quick_problem(self._root / self._keys[index])

    def _is_annotated(self, index: int) -> bool:
        return bool(np.isfinite(self._points[index]).any())

    def _pair(self, given: tuple[int, int] | None) -> tuple[int, int]:
        count = len(self.point_names)
        if given is None:
            return _EYE_CORNERS.get(count, (0, 1))
        if min(given) < 0 or max(given) >= count or given[0] == given[1]:
            raise LmkitError(
                f"Points {given[0]} and {given[1]} cannot normalise errors: the CSV has {count}.",
                remedy="Give two different ones, counted from 0.",
            )
        return given


Rows = Sequence[tuple[int, Mapping[str, str]]]
"""For each row its line in the file, counted from 1, and its cells by column."""


def _read(path: Path) -> tuple[list[str], Rows]:
    """Read the header and the rows that are not blank."""
    lines = _lines(path)
    header = lines[0][1] if lines else []
    if "file" not in header:
        found = ", ".join(header[:8]) if header else "nothing"
        raise _malformed(
            path,
            lines[0][0] if lines else 1,
            f"the header has no column 'file' (it has: {found})",
            "Name the column of the pictures 'file', and put commas between the columns.",
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise _malformed(
            path, 1, f"two columns are called '{repeated[0]}'", "Rename or remove one of them."
        )
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise _malformed(
                path,
                line,
                f"{len(cells)} cells where the header has {len(header)}",
                "Give every row a cell for each column; leave it empty where nothing is known.",
            )
    if len(lines) == 1:
        raise _malformed(path, 1, "no row follows the header", "Add a row for each picture.")
    rows = [(line, dict(zip(header, cells, strict=True))) for line, cells in lines[1:]]
    return header, rows


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    if not path.is_file():
        raise LmkitError(
            f"There is no CSV {path}.",
            remedy="Give --data csv:FILE the path of a CSV with a header line and a column 'file'.",
            code=ExitCode.DATA,
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
            raise _malformed(
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
            raise _malformed(
                path, line, "the cell 'file' is empty", "Name a picture, or remove it."
            )
        if file in first:
            raise _malformed(
                path,
                line,
                f"{file} is listed already, on line {first[file]}",
                "Remove one of them.",
            )
        first[file] = line
    return list(first)


def _find_root(path: Path, root: Path | None, files: Sequence[str]) -> Path:
    """Return the first folder that holds any of the pictures, and insist that it holds all."""
    folders = [path.parent, path.parent / "images"] if root is None else [root]
    holding = (folder for folder in folders if any((folder / file).is_file() for file in files))
    chosen = next(holding, folders[0])
    missing = [file for file in files if not (chosen / file).is_file()]
    if missing:
        named = ", ".join(missing[:_NAMED])
        named += f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        where = " or ".join(map(str, folders)) if len(missing) == len(files) else str(chosen)
        raise LmkitError(
            f"{len(missing)} of the {len(files)} pictures that {path} lists are not in {where}: "
            f"{named}.",
            remedy="Put them there, remove their rows, or name their folder with "
            "--set data.root=FOLDER.",
            code=ExitCode.DATA,
        )
    return chosen


def _split_of(path: Path, line: int, row: Mapping[str, str]) -> str:
    split = row.get("split", "")
    if split and split not in _SPLITS:
        raise _malformed(
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
        raise _malformed(
            path,
            line,
            f"{column} is '{cell}', which is not a number",
            "Write pixels, or nothing where the point is not known.",
        )
    return value


def _malformed(path: Path, line: int, problem: str, remedy: str) -> LmkitError:
    return LmkitError(f"{path}, line {line}: {problem}.", remedy=remedy, code=ExitCode.DATA)
