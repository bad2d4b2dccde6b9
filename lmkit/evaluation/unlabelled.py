"""Evaluation of a run on images without annotation."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmkit.data.framing import Framer
from lmkit.data.unreadable import Unreadable
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.figures import FACE_SIDE, FACES, Seen, evenly, faces_sheet
from lmkit.evaluation.label_free import IMAGES, Judgement, judge_run
from lmkit.evaluation.report import EVALUATION
from lmkit.evaluation.verdict import Verdict
from lmkit.interfaces.dataset import Dataset
from lmkit.points.linear import Array
from lmkit.preparation.prepared import Prepared
from lmkit.run.run import Run
from lmkit.storage import storage, write_json, write_text

TRAINED = "No image is held out: what was looked at has trained the run."
"""A remark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledReport:
    """What an evaluation without annotation found.

    Args:
        judgement: What can be told of the run, and of the untrained network.
        framer: How images became the squares that the detector saw.
        data: The data, as chosen.
        step: The training step of the checkpoint.
        seed: Decides every random draw.
        unreadable: Images left out because they could not be read.
        notes: What a reader should know, a sentence each.
    """

    judgement: Judgement
    framer: Framer
    data: str
    step: int
    seed: int
    unreadable: int
    notes: list[str]

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        return self.judgement.verdict()

    @property
    def keys(self) -> list[str]:
        """The names of the images."""
        return self.judgement.keys

    @property
    def indices(self) -> list[int]:
        """Their numbers in the data."""
        return self.judgement.indices

    @property
    def detections(self) -> Array:
        """The landmarks, (N, K, 2), in pixels of the images."""
        return self.judgement.pixels

    def worst(self) -> list[int]:
        """Return the places of all images, those whose landmarks follow least first.

        An image at fault comes before one that is not.
        """
        own = self.judgement.own
        missed = np.nan_to_num(own.per_image, nan=-1.0)
        order: list[int] = np.lexsort((-missed, ~own.faults.images)).tolist()
        return order

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the figures of each image."""
        return {
            "label_free": self.judgement.to_dict(),
            "worst_images": [self.keys[row] for row in self.worst()[:10]],
            "fit": self.framer.fit,
            "crop": None if self.framer.crop is None else str(self.framer.crop),
            "data": self.data,
            "step": self.step,
            "seed": self.seed,
            "unreadable": self.unreadable,
            "notes": self.notes,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``evaluation.json``, and ``images.csv`` with a row for each image, worst first.

        Args:
            folder: Where; it is made if it is not there.

        Returns:
            The two files.

        Raises:
            LmkitError: If they cannot be written.
        """
        with storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
        figures, images = folder / EVALUATION, folder / "images.csv"
        write_json(figures, self.to_dict())
        write_text(images, self._table())
        return [figures, images]

    def _table(self) -> str:
        own, text = self.judgement.own, io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "equivariance", "at_fault", "landmarks_at_fault"])
        for row in self.worst():
            name = self.keys[row].encode("utf-8", "surrogateescape")
            missed = own.per_image[row]
            writer.writerow(
                [
                    name.decode("utf-8", "backslashreplace"),
                    f"{missed:.4f}" if np.isfinite(missed) else "",
                    int(own.faults.images[row]),
                    int(own.faults.any[row].sum()),
                ]
            )
        return text.getvalue()


def evaluate_unlabelled(
    run: Run,
    ready: Prepared,
    *,
    images: int = IMAGES,
    controls: bool = True,
    data: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
    progress: ProgressCallback = lambda done, total: None,
) -> UnlabelledReport:
    """Tell without annotation whether a run's landmarks follow what they are on.

    Args:
        run: The run.
        ready: Data, divided; annotation is not looked at but for crops made from it.
        images: How many of the images to look at, at most: of those held out, or, where none is,
            of all.
        controls: Whether to look at them with the untrained network too.
        data: What to call the data in the report; its kind and place if not given.
        seed: Decides every random draw.
        batch_size: Images at a time.
        progress: Called with the number of images read, and of all.

    Raises:
        LmkitError: If there are no images, or too many cannot be read.
    """
    split, notes = ready.split, ready.notes()
    indices = split.test or split.train
    if not split.test:
        notes.append(TRAINED)
    if not indices or images < 1:
        raise LmkitError(
            "There is no image to look at.", remedy="Give images with --data.", code=ExitCode.DATA
        )
    unreadable = Unreadable(ready.settings.loading.max_unreadable)
    total = min(images, len(indices))
    found = judge_run(
        run,
        ready.dataset,
        indices,
        images=images,
        controls=controls,
        seed=seed,
        batch_size=batch_size,
        unreadable=unreadable,
        progress=lambda done: progress(done, total),
    )
    unreadable.check(total, all_read=True)
    return UnlabelledReport(
        judgement=found,
        framer=run.framer,
        data=ready.settings.data_label if data is None else data,
        step=run.step,
        seed=seed,
        unreadable=len(unreadable),
        notes=[*notes, *([found.remark] if found.remark else [])],
    )


def write_sheets(report: UnlabelledReport, dataset: Dataset, folder: Path) -> list[Path]:
    """Write ``faces.png``, landmarks on images taken evenly, and ``worst.png``, on the worst.

    Args:
        report: What was found.
        dataset: What it was found on.
        folder: Where; it is made if it is not there.

    Returns:
        The files.

    Raises:
        LmkitError: If they cannot be written.
    """
    order = report.worst()
    shown = {
        "faces.png": evenly(len(order), FACES),
        "worst.png": order[: min(FACES // 2, max(1, len(order) // 2))],
    }
    written = []
    for name, rows in shown.items():
        seen = Seen(report, dataset, rows, FACE_SIDE)
        if seen.rows:
            with storage(folder / name):
                folder.mkdir(parents=True, exist_ok=True)
                faces_sheet(seen.images, seen.place(report.detections)).save(folder / name)
            written.append(folder / name)
    return written
