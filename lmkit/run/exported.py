"""A run as one file: written from a run, and opened where a run folder would be."""

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from lmkit import __version__
from lmkit.errors import ExitCode, LmkitError
from lmkit.export.description import Description, GraphDetector
from lmkit.export.files import FORMATS, open_exported, write_exported
from lmkit.export.graph import BATCHES, OUTPUTS, TOLERANCE, build_graph, expected, try_images
from lmkit.interfaces.detector import Detector
from lmkit.points.map import FittedWith, PointsMap
from lmkit.run.folder import RunFolder
from lmkit.runtime.blame import blame
from lmkit.settings.settings import Settings


class Exportable(Protocol):
    """What is read of a [Run][lmkit.run.run.Run] that is exported."""

    stored: dict[str, Any]
    record: dict[str, Any]
    origins: list[dict[str, str]]

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def settings(self) -> Settings:
        """What decided it."""

    @property
    def detector(self) -> Detector:
        """The trained detector."""

    @property
    def fitted_with(self) -> FittedWith:
        """What names the detector."""


class Exported(NamedTuple):
    """What was written."""

    file: Path
    description: Description
    apart: float
    """How far its points were from the detector's, in pixels of the input."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        content = self.description.content
        shown = ("landmarks", "image_size", "outputs", "run", "step", "detector", "versions")
        told = {name: content[name] for name in shown}
        return {"file": str(self.file), "off_by_pixels": self.apart, **told}


class ExportedFile(RunFolder):
    """An exported file in the place of a run folder, of which it has the path alone.

    Args:
        path: The file.

    Raises:
        LmkitError: On asking for anything of a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def __getattr__(self, name: str) -> Any:
        """Refuse what only a folder has."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise refuse_exported(self.path)

    @cached_property
    def detector(self) -> GraphDetector:
        """Its graph.

        Raises:
            LmkitError: If the file is missing, damaged, or not of lmkit.
        """
        return open_exported(self.path)

    @property
    def record(self) -> dict[str, Any]:
        """What it says of the run, in the form of ``run.json``."""
        content = self.detector.description.content
        return {**content, "components": []}

    @property
    def fitted_with(self) -> FittedWith:
        """What names its detector in maps to named points."""
        content = self.detector.description.content
        return FittedWith(str(content["detector"]["sha256"]), content["run"], content["step"])


def refuse_exported(path: Path) -> LmkitError:
    """Return the error for an exported file where a run folder is needed."""
    return LmkitError(
        f"{path} is an exported detector, which holds no networks, data or checkpoints.",
        remedy="Give the run folder that it was exported from; lmkit predict and lmkit fit take "
        "either.",
        code=ExitCode.RUN,
    )


def on_cpu(device: str, path: Path) -> torch.device:
    """Return the device of an exported file, which is the CPU.

    Raises:
        LmkitError: If another one was asked for.
    """
    if device not in ("auto", "cpu"):
        raise LmkitError(
            f"--device {device} does not go together with {path}: exported files run on the CPU "
            "here.",
            remedy="Give --device cpu, or the run folder that it was exported from.",
        )
    return torch.device("cpu")


def export_run(
    run: Exportable, out: Path | None = None, *, form: str = "onnx", points: PointsMap | None = None
) -> Exported:
    """Write a run's detector as one graph in one file.

    It is tried before it is put in its place: on images at two batch sizes, its points are where
    the detector's are.

    Args:
        run: The run.
        out: The file; ``detector.onnx`` or ``detector.pt2`` in the run's folder if not given.
        form: ``onnx`` or ``pt2``.
        points: Fitted with the run's detector; the graph returns named points too.

    Raises:
        LmkitError: If a package is missing, the detector cannot be exported, or the file cannot be
            written.
    """
    if form not in FORMATS:
        raise LmkitError(
            f"{form!r:.40} is no format of exported files.", remedy=f"Give {' or '.join(FORMATS)}."
        )
    path = run.path / f"detector.{form}" if out is None else out
    if path.suffix[1:].lower() != form:
        raise LmkitError(
            f"{path} is to be of format {form}, which its name does not say.",
            remedy=f"Give a name that ends in .{form}, or the --format that the name says.",
        )
    size = run.settings.run.image_size
    graph = build_graph(run.detector, size, points)
    with blame(f"detector '{run.settings.detector['name']}'", graph.detector):
        outputs = list(expected(graph, try_images(1, size)))
    description = _describe(run, outputs, points)
    return Exported(path, description, write_exported(graph, description, path, form))


def _describe(run: Exportable, outputs: list[str], points: PointsMap | None) -> Description:
    known = run.fitted_with
    settings = dict(run.stored)
    # Where the data lies on this machine is nothing to hand on.
    settings["data"] = {"name": run.stored["data"]["name"]}
    settings["writer"] = {}
    content: dict[str, Any] = {
        "run": Path(known.run).name,
        "step": known.step,
        "landmarks": settings["run"]["landmarks"],
        "image_size": settings["run"]["image_size"],
        "input": "(B, 3, S, S), uint8, RGB, S the image_size; divided by 255 inside",
        "outputs": {name: OUTPUTS[name] for name in outputs},
        "detector": {"sha256": known.sha256, "name": settings["detector"]["name"]},
        "components": run.origins,
        "versions": {
            "lmkit": __version__,
            "torch": torch.__version__,
            "trained": run.record.get("versions", {}),
        },
        "tried": {"batches": list(BATCHES), "within_pixels": TOLERANCE},
        "settings": settings,
    }
    if points is not None:
        error = points.standard_error * settings["run"]["image_size"] / 2
        content["points"] = {
            "names": list(points.names),
            "standard_error": [
                [None if value != value else value for value in pair] for pair in error.tolist()
            ],
        }
    return Description(content)
