"""A writer: it hears what a run produces while it trains, and takes it elsewhere."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lmkit.api import Writer


class MetricsTable(Writer):
    """Writes metrics to a CSV: a row for each number, with its step and name.

    A run that goes on takes back the rows of the steps that it repeats.

    Args:
        file: The CSV; metrics.csv in the run's folder if not given.
    """

    argument: ClassVar[str | None] = "file"

    def __init__(self, *, file: Path | None = None) -> None:
        self.file = file

    def started(self, folder: Path, settings: Mapping[str, Any], *, step: int, steps: int) -> None:
        """Keep the rows up to the step that the run goes on from, and write the header."""
        self.file = self.file or folder / "metrics.csv"
        rows = []
        if step and self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row[0].isdigit() and int(row[0]) <= step]
        with self.file.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("step", "name", "value"), *rows])

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row for each number."""
        if self.file is not None:
            with self.file.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows((step, name, value) for name, value in values.items())
