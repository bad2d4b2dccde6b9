"""Exported files of any format: written aside, tried, renamed; and opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

from lmkit.errors import ExitCode, LmkitError
from lmkit.export.description import Description, GraphDetector
from lmkit.export.graph import (
    BATCHES,
    LARGEST_TOLERANCE,
    ROUNDING,
    TOLERANCE,
    Graph,
    differences,
    expected,
    rounding,
    try_images,
)
from lmkit.export.onnx_file import need_packages, onnx_bytes, open_onnx
from lmkit.export.pt2_file import open_pt2, pt2_bytes
from lmkit.storage import clear_aside, flush, flush_folder, made, put_in_place, storage

_WRITE: dict[str, Callable[[Graph, Description], bytes]] = {"onnx": onnx_bytes, "pt2": pt2_bytes}
_OPEN: dict[str, Callable[[Path], Any]] = {"onnx": open_onnx, "pt2": open_pt2}

FORMATS = tuple(_WRITE)
"""The formats, which are also the suffixes of files."""


def is_exported(path: Path) -> bool:
    """Return whether a path names an exported file, by its suffix; a folder never does."""
    return path.suffix[1:].lower() in FORMATS and not path.is_dir()


def write_exported(graph: Graph, description: Description, path: Path, form: str) -> float:
    """Write a file, try it, and put it in its place if it does what the detector does.

    Args:
        graph: What to write.
        description: What the file says of itself.
        path: The file.
        form: One of ``FORMATS``.

    Returns:
        How far its points were from the detector's, in pixels of the input.

    Raises:
        LmkitError: If a package is missing, an operator cannot be exported, the file does something
            else than the detector, or it cannot be written.
    """
    if form == "onnx":
        need_packages()
    aside = path.with_name(f".{path.stem}.partial.{form}")
    with made(path.absolute().parent):
        try:
            content = _WRITE[form](graph, description)
        except Exception as error:
            raise _refused(form, error) from error
        with storage(path):
            try:
                clear_aside(aside)
                with aside.open("wb") as file:
                    file.write(content)
                    flush(file)
                apart = _try(graph, aside, form)
                put_in_place(aside, path)
                flush_folder(path.absolute().parent)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
    return apart


def open_exported(path: Path) -> GraphDetector:
    """Open a file for prediction on the CPU.

    Raises:
        LmkitError: If it is missing, damaged, not of lmkit, or a package is missing.
    """
    form = path.suffix[1:].lower()
    try:
        description, call = _OPEN[form](path)
        # Once, so that what cannot work is refused here and not in the midst of images.
        detector = GraphDetector(description, call).eval()
        detector.outputs(try_images(1, description.image_size))
    except LmkitError:
        raise
    except FileNotFoundError:
        _refuse(path, "there is no such file")
    except (OSError, ValueError) as error:
        _refuse(path, getattr(error, "strerror", None) or str(error))
    except Exception as error:
        # Whatever the runtime raises for a graph that is not what its description says.
        _refuse(path, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return detector


def _try(graph: Graph, path: Path, form: str) -> float:
    """Compare a file with the detector, at several sizes of the batch."""
    description, call = _OPEN[form](path)
    most = 0.0
    for count in BATCHES:
        images = try_images(count, graph.image_size)
        found, wanted = call(images), expected(graph, images)
        if graph.has_points:
            # Of the same landmarks: a map with large weights makes more of what rounding makes.
            wanted["named_points"] = graph.name_points(found[1])
        apart = differences(description.outputs, found, wanted)
        allowed = _allowed(graph, wanted)
        if any(not apart[name] <= allowed[name] for name in apart):
            own = rounding(graph, images, wanted)
            scale = LARGEST_TOLERANCE / TOLERANCE
            allowed = {
                name: max(value, min(ROUNDING * own[name], scale * value))
                for name, value in allowed.items()
            }
        for name, value in apart.items():
            if not value <= allowed[name]:
                raise _differs(
                    form, f"{name} is {value:.3g} off with a batch of {count}", allowed[name]
                )
        most = max(most, apart["points"])
    return most


def _allowed(graph: Graph, wanted: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return how far each output may be from the detector's."""
    allowed = dict.fromkeys(wanted, TOLERANCE)
    allowed["normalised"] = TOLERANCE * 2 / graph.image_size
    if "covariance" in wanted:
        # It is in square pixels, and as large as the image: relative.
        allowed["covariance"] *= max(1.0, wanted["covariance"].abs().max().item())
    return allowed


def _differs(form: str, how: str, allowed: float) -> LmkitError:
    return LmkitError(
        f"The {form} file does not do what the detector does: {how}, where {allowed:.3g} is "
        "allowed. It was not written.",
        remedy="The detector may depend on the batch, on chance or on more precision than float32 "
        "has: lmkit check-plugin holds it to its promises. Or try the other format, "
        f"{' or '.join(each for each in FORMATS if each != form)}.",
        code=ExitCode.PLUGIN,
    )


def _refused(form: str, error: Exception) -> LmkitError:
    if isinstance(error, LmkitError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return LmkitError("There is no memory left to export.", remedy="End other programs.")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__ or error.__context__
    if cause is not None and str(cause).strip():
        lines.append(str(cause).strip().splitlines()[0])
    what = "; ".join(dict.fromkeys([*lines[:2], *lines[-1:]]))[:400]
    return LmkitError(
        f"The detector cannot be exported to {form}: {type(error).__name__}: {what}",
        remedy="Write the operation that it names with others in the detector's forward, without "
        "values that depend on the images' content; lmkit check-plugin tells whether it is traced. "
        f"LMKIT_TRACEBACK=1 shows where. Or try {' or '.join(f for f in FORMATS if f != form)}.",
        code=ExitCode.PLUGIN,
    )


def _refuse(path: Path, reason: str) -> NoReturn:
    raise LmkitError(
        f"{path} cannot be used as an exported detector: {reason}.".replace("..", "."),
        remedy="Give a file that lmkit export wrote, or export the run again.",
        code=ExitCode.RUN,
    )
