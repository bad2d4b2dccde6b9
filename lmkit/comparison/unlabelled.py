"""Runs side by side on images without annotation: which of them follow what they are on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from lmkit.comparison.cost import Cost, measure_cost
from lmkit.comparison.runs import Gathered, differing, known_settings
from lmkit.comparison.significance import Difference
from lmkit.comparison.tables import (
    COST,
    FOLLOWING,
    Table,
    blocks_of,
    cost_cells,
    following,
    settings_rows,
)
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.figures import FACE_SIDE, Seen, compared_sheet, evenly
from lmkit.evaluation.label_free import IMAGES
from lmkit.evaluation.unlabelled import UnlabelledReport, evaluate_unlabelled
from lmkit.interfaces.dataset import Dataset
from lmkit.run.run import Run
from lmkit.storage import storage, write_json, write_text

FACES_OF_A_RUN = 8
"""How many images the sheet shows, the same for each run."""


@dataclass(frozen=True, slots=True)
class UnlabelledEntry:
    """One run of a comparison without annotation.

    Args:
        name: What it is called in the comparison.
        run: The run.
        dataset: The data it was looked at on, as it reads them.
        report: What was found.
        cost: What it costs.
    """

    name: str
    run: Run
    dataset: Dataset
    report: UnlabelledReport
    cost: Cost


@dataclass(frozen=True, slots=True)
class UnlabelledComparison:
    """Runs looked at on the same images, without annotation.

    Args:
        entries: The runs, as given.
        differences: Of the equivariance errors of each pair of runs, the earlier against the later.
        notes: What a reader must know, a sentence each.
    """

    entries: list[UnlabelledEntry]
    differences: list[Difference]
    notes: list[str]

    def ranked(self) -> list[UnlabelledEntry]:
        """Return the runs, the one with the best score first."""
        return sorted(self.entries, key=lambda entry: -entry.report.verdict.score)

    def differing(self) -> dict[str, list[Any]]:
        """Return the settings that are not the same everywhere, with each run's value."""
        return differing([known_settings(entry.run) for entry in self.entries])

    def tables(self) -> list[Table]:
        """Return everything that was found but the notes; no table is empty."""
        names = [entry.name for entry in self.entries]
        found = [
            Table("Settings that differ", ["setting", *names], settings_rows(self.differing())),
            Table(
                "Told without annotation, the best first",
                FOLLOWING,
                [
                    [entry.name, *following(entry.report.judgement, entry.report.verdict)]
                    for entry in self.ranked()
                ],
            ),
            Table(
                "Cost",
                COST,
                [cost_cells(entry.name, entry.run, entry.cost) for entry in self.entries],
            ),
        ]
        return [table for table in found if table.rows]

    def statement(self) -> str:
        """Return on what the runs were looked at, as a sentence."""
        report = self.entries[0].report
        return (
            f"Looked at on {len(report.keys):,} images of {report.data}, the same for all, without "
            "annotation."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        names = [entry.name for entry in self.entries]
        return {
            "data": self.entries[0].report.data,
            "images": len(self.entries[0].report.keys),
            "runs": [
                {
                    "name": entry.name,
                    "path": str(entry.run.path),
                    "steps": entry.run.step,
                    "landmarks": entry.run.settings.run.landmarks,
                    "cost": entry.cost.to_dict(),
                    "evaluation": entry.report.to_dict(),
                }
                for entry in self.entries
            ],
            "settings": {
                key: dict(zip(names, values, strict=True))
                for key, values in self.differing().items()
            },
            "best": self.ranked()[0].name,
            "differences": [each.to_dict() for each in self.differences],
            "notes": self.notes,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``comparison.md``, ``comparison.json`` and ``faces.png``.

        Args:
            folder: Where; it is made if it is not there.

        Returns:
            The files.

        Raises:
            LmkitError: If they cannot be written.
        """
        names = ("comparison.md", "comparison.json", "faces.png")
        page, figures, faces = (folder / name for name in names)
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        blocks = ["# Comparison", self.statement(), *blocks_of(self.tables()), "## Notes"]
        blocks.append("\n".join(f"- {note}" for note in self.notes))
        blocks.append("![The same images, a row each run](faces.png)")
        write_text(page, "\n\n".join(blocks) + "\n")
        write_json(figures, self.to_dict())
        rows = evenly(len(self.entries[0].report.keys), FACES_OF_A_RUN)
        drawn = []
        for entry in self.ranked():
            seen = Seen(entry.report, entry.dataset, rows, FACE_SIDE)
            title = f"{entry.name}: follows {100 * entry.report.judgement.own.followed:.0f} %"
            drawn.append((title, seen.images, seen.place(entry.report.detections)))
        with storage(faces):
            compared_sheet(drawn).save(faces)
        return [page, figures, faces]


def measure_unlabelled(
    gathered: Gathered,
    *,
    images: int = IMAGES,
    controls: bool = True,
    batch_size: int = 64,
    progress: ProgressCallback = lambda done, total: None,
) -> UnlabelledComparison:
    """Look at images without annotation with several runs, and compare them.

    Args:
        gathered: The runs and the data.
        images: How many images to look at, at most.
        controls: Whether to look at them with each run's untrained network too.
        batch_size: Images a detector sees at a time.
        progress: Called with the number of images read, and of all.

    Raises:
        LmkitError: If no image is held out by all.
    """
    if not gathered.parts[0].split.test:
        raise LmkitError(
            "The runs have no held-out image in common.",
            remedy="Name other data to look at with --data.",
            code=ExitCode.DATA,
        )
    entries: list[UnlabelledEntry] = []
    count = len(gathered.runs)
    for name, run, ready in zip(gathered.names, gathered.runs, gathered.parts, strict=True):

        def told(done: int, total: int, before: int = len(entries)) -> None:
            progress(before * total + done, total * count)

        report = evaluate_unlabelled(
            run, ready, images=images, controls=controls, batch_size=batch_size, progress=told
        )
        entries.append(UnlabelledEntry(name, run, ready.dataset, report, measure_cost(run)))
    return UnlabelledComparison(entries, _differences(entries), _notes(entries))


def _differences(entries: Sequence[UnlabelledEntry]) -> list[Difference]:
    """Compare the equivariance errors; landmarks that a warp takes off an image are left out."""
    found = []
    for a, b in combinations(entries, 2):
        first, second = (each.report.judgement.own.per_image for each in (a, b))
        both = np.isfinite(first) & np.isfinite(second)
        if both.any():
            found.append(Difference.of(a.name, first[both], b.name, second[both]))
    return found


def _notes(entries: Sequence[UnlabelledEntry]) -> list[str]:
    notes = [f"{entry.name}: {entry.report.verdict.sentence}" for entry in entries]
    notes += [f"{entry.name}: {entry.report.judgement.own.faults.sentence()}" for entry in entries]
    for entry in entries:
        steps = entry.run.settings.run.steps
        if entry.run.step < steps:
            notes.append(f"{entry.name} is not finished: step {entry.run.step} of {steps}.")
    return [*notes, *dict.fromkeys(note for entry in entries for note in entry.report.notes)]
