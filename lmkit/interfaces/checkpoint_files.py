"""How a checkpoint lies on the disk, and how it is verified: the one place that knows.

A checkpoint is a folder ``step-N`` in the run's folder ``checkpoints``: a file of tensors for each
network that has any, one for the optimiser, and ``state.json`` with the step and every file's
SHA-256. The live components that tensors are saved from and loaded into are not known here, so that
pretrained weights can be read from a run as well.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import read_json

FOLDER = "checkpoints"
"""The folder, inside of a run's, that holds its checkpoints."""
STATE = "state.json"
"""The file, inside of a checkpoint, that says what belongs to it."""
METRICS = "metrics"
"""The tensors of a checkpoint that no training depends on: averages that are not written yet."""
FORMAT = 1
"""The version of this layout."""

_NAME = re.compile(r"step-(\d+)")


def step_folder(checkpoints: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return checkpoints / f"step-{step}"


def list_steps(checkpoints: Path) -> dict[int, Path]:
    """Return the complete checkpoints in a folder by step, oldest first.

    Args:
        checkpoints: What holds them; there are none if it does not exist.
    """
    found = {}
    if checkpoints.is_dir():
        for path in checkpoints.iterdir():
            if match := _NAME.fullmatch(path.name):
                found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def tensor_file(checkpoint: Path, name: str) -> Path:
    """Return where the tensors of a network, or of the optimiser, lie in a checkpoint."""
    return checkpoint / f"{name}.safetensors"


def describe_file(file: Path) -> dict[str, Any]:
    """Return what ``state.json`` records of a file: its ``bytes`` and ``sha256``."""
    return {"bytes": file.stat().st_size, "sha256": _sha256(file)}


def describe_checkpoint(step: int, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what ``state.json`` holds.

    Args:
        step: The step of the checkpoint.
        files: What is recorded of each file, by its name.
    """
    return {"format": FORMAT, "step": step, "files": files}


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint's ``state.json``.

    Raises:
        LmkitError: If it is missing, damaged or of another version.
    """
    try:
        state = read_json(checkpoint / STATE)
    except LmkitError as error:
        raise _damaged(checkpoint, error.problem) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise LmkitError(
            f"{checkpoint} was written by another version of lmkit.",
            remedy="Open it with the version named in run.json.",
            code=ExitCode.RUN,
        )
    return state


def refuse_absent(checkpoint: Path, state: dict[str, Any]) -> None:
    """Refuse a checkpoint that lacks a file although its detector is there: a slim copy.

    Args:
        checkpoint: The folder ``step-N``, to go on from.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.

    Raises:
        LmkitError: If a recorded file is not there.
    """
    needed = [
        name for name in state.get("files", ()) if name != tensor_file(checkpoint, METRICS).name
    ]
    absent = [name for name in needed if not (checkpoint / name).is_file()]
    if absent and tensor_file(checkpoint, "detector").is_file():
        raise LmkitError(
            f"Checkpoint {checkpoint} lacks {', '.join(absent)}, without which training cannot go "
            "on; its detector is there.",
            remedy=f"Go on with the run that it was copied from.{_other(checkpoint)}",
            code=ExitCode.RUN,
        )


def recorded_sha256(checkpoint: Path, state: dict[str, Any], name: str) -> str:
    """Return the SHA-256 that ``state.json`` records of a file of tensors.

    Args:
        checkpoint: The folder ``step-N``.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.
        name: What the tensors are of: ``detector``, ``optimizer``.

    Raises:
        LmkitError: If there is none.
    """
    file = tensor_file(checkpoint, name)
    try:
        recorded = state["files"].get(file.name)
        wanted = None if recorded is None else recorded["sha256"]
    except (KeyError, TypeError, AttributeError):
        raise _damaged(checkpoint, f"{STATE} does not list its files") from None
    if wanted is None:
        raise _damaged(checkpoint, f"{file.name} is missing")
    return str(wanted)


def verified_file(checkpoint: Path, state: dict[str, Any], name: str) -> Path:
    """Return a file of tensors whose content is what was written.

    Args:
        checkpoint: The folder ``step-N``.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.
        name: What the tensors are of: ``detector``, ``optimizer``.

    Raises:
        LmkitError: If it is missing, or its SHA-256 differs.
    """
    file = tensor_file(checkpoint, name)
    wanted = recorded_sha256(checkpoint, state, name)
    if not file.is_file():
        raise _damaged(checkpoint, f"{file.name} is missing")
    if _sha256(file) != wanted:
        raise _damaged(checkpoint, f"{file.name} is not what was written (its SHA-256 differs)")
    return file


def read_tensors(
    checkpoint: Path, state: dict[str, Any], name: str, device: torch.device
) -> dict[str, Tensor]:
    """Read tensors whose file is what was written; see ``verified_file``.

    Raises:
        LmkitError: If the file is missing, or its SHA-256 differs.
    """
    return load_file(verified_file(checkpoint, state, name), device=str(device))


def sound_file(checkpoint: Path, name: str) -> Path | None:
    """Return a file of tensors; None if it is not there or is not what was written.

    Args:
        checkpoint: The folder ``step-N``.
        name: What the tensors are of: ``detector``.
    """
    try:
        return verified_file(checkpoint, read_state(checkpoint), name)
    except (LmkitError, OSError):
        return None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(checkpoint: Path, what: str) -> LmkitError:
    other = _other(checkpoint) or " Move that folder away. There is no other; train again."
    return LmkitError(
        f"Checkpoint {checkpoint} is damaged: {what}.", remedy=other.strip(), code=ExitCode.RUN
    )


def _other(checkpoint: Path) -> str:
    """Return the way to fall back on another checkpoint, if there is one."""
    others = [each for each in list_steps(checkpoint.parent).values() if each != checkpoint]
    return f" Move that folder away. {others[-1].name} is then taken." if others else ""
