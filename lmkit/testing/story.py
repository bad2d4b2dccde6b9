"""The story of a run, for writers to follow."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from lmkit.interfaces.writer import Writer
from lmkit.testing.subject import Subject


def follow(subject: Subject, writer: Writer, folder: Path, done: int = 0) -> None:
    """Tell a writer the story of a run of four steps, or of its rest."""
    writer.started(folder, subject.settings(subject.options()).to_dict(), step=done, steps=4)
    for step in range(done + 1, 5):
        writer.metrics(step, {"loss": 1 / step, "loss/mse": 1 / step, "images_per_second": 9.5})
    for name in ("landmarks", "routes"):
        writer.sheet(4, name, folder / "sheets" / f"{name}.png")
    writer.metrics(4, {"loss": math.nan})
    writer.checkpoint(4, folder / "checkpoints" / "step-4")
    writer.ended(4, "finished")


@contextmanager
def run_folder() -> Iterator[Path]:
    """Lay out the folder of a run, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="lmkit-run-") as place:
        folder = Path(place)
        (folder / "sheets").mkdir()
        (folder / "checkpoints" / "step-4").mkdir(parents=True)
        for text in ("run.json", "status.json", "checkpoints/step-4/state.json"):
            (folder / text).write_text("{}\n", encoding="utf-8")
        (folder / "metrics.jsonl").write_text('{"step": 4, "loss": 0.25}\n', encoding="utf-8")
        for name in ("landmarks", "routes"):
            Image.new("RGB", (24, 16), "grey").save(folder / "sheets" / f"{name}.png")
        yield folder
