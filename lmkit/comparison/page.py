"""A comparison as files: a page of Markdown, its figures as JSON, and the same faces by each."""

from pathlib import Path

from PIL.Image import Image

from lmkit.comparison.runs import Comparison
from lmkit.comparison.tables import markdown
from lmkit.evaluation.figures import FACE_SIDE, Seen, compared_sheet, evenly
from lmkit.storage import storage, write_json, write_text

FACES_OF_A_RUN = 8
"""How many faces the sheet shows, the same for each run."""


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write ``comparison.md``, ``comparison.json`` and ``faces.png``.

    Args:
        comparison: What was found.
        folder: Where; it is made if it is not there.

    Returns:
        The files.

    Raises:
        LmkitError: If they cannot be written.
    """
    page, figures, faces = (
        folder / name for name in ("comparison.md", "comparison.json", "faces.png")
    )
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(page, markdown(comparison))
    write_json(figures, comparison.to_dict())
    with storage(faces):
        runs_sheet(comparison).save(faces)
    return [page, figures, faces]


def runs_sheet(comparison: Comparison) -> Image:
    """Draw the same test faces for each run, a row each."""
    rows = evenly(len(comparison.entries[0].report.keys), FACES_OF_A_RUN)
    seen = []
    for entry in comparison.entries:
        faces = Seen(entry.report, entry.dataset, rows, FACE_SIDE)
        title = f"{entry.name}: {entry.report.forward:.2f} %"
        seen.append((title, faces.images, faces.place(entry.report.detections)))
    return compared_sheet(seen)
