"""How a checkpoint lies on the disk, and how it is verified: the one place that knows.

A checkpoint is a folder ``step-N`` in the run's folder ``checkpoints``: a file of tensors for each
network that has any, one for the optimiser, and ``state.json`` with the step and every file's
SHA-256, and a checksum of its own. Nothing of it is believed before it is checked. The live
components that tensors are saved from and loaded into are not known here, so that pretrained
weights can be read from a run as well.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.tensor_files import State, load_tensors, read_forms
from lmkit.records import describes_file, differs, is_count, load_record
from lmkit.storage import is_refused, read_error

FOLDER = "checkpoints"
"""The folder, inside of a run's, that holds its checkpoints."""
STATE = "state.json"
"""The file, inside of a checkpoint, that says what belongs to it."""
MISSING = "missing"
"""What is wrong with a file that is not there."""
METRICS = "metrics"
"""The tensors of a checkpoint that no training depends on: averages that are not written yet."""
FORMAT = 1
"""The version of this layout."""

_NAME = re.compile(r"step-(0|[1-9][0-9]{0,17})")
_FILE = re.compile(r"[a-z_]+\.safetensors")


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


def describe_checkpoint(step: int, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what ``state.json`` holds.

    Args:
        step: The step of the checkpoint.
        files: What is recorded of each file, by its name.
    """
    return {"format": FORMAT, "step": step, "files": files}


def step_of(checkpoint: Path) -> int | None:
    """Return the step that a checkpoint's folder is named after; None if it is named otherwise."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match.group(1)) if match else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint's ``state.json``.

    Raises:
        LmkitError: If it is missing, damaged, of another step or of another version.
    """
    try:
        state = _load_state(checkpoint)
    except (OSError, ValueError) as error:
        raise unusable(checkpoint, checkpoint / STATE, error) from None
    if state["format"] != FORMAT:
        raise LmkitError(
            f"{checkpoint} was written by another version of lmkit.",
            remedy="Open it with the version named in run.json.",
            code=ExitCode.RUN,
        )
    return state


def _load_state(checkpoint: Path) -> dict[str, Any]:
    """Read ``state.json``, and check what is believed of it.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not what was written, or describes no checkpoint.
    """
    state = load_record(checkpoint / STATE)
    if not is_count(state.get("format")):
        raise ValueError("it does not say its format")
    if state["format"] != FORMAT:
        return state
    step, named = state.get("step"), step_of(checkpoint)
    if not is_count(step):
        raise ValueError(f"it gives {str(step)[:80]!r} as its step")
    if named is not None and step != named:
        raise ValueError(f"it says step {step}")
    files = state.get("files")
    if not isinstance(files, dict):
        raise ValueError("it does not list its files")
    for name, entry in files.items():
        if not _FILE.fullmatch(name) or not describes_file(entry):
            raise ValueError(f"it does not describe the file {name[:80]}")
    return state


def find_damage(checkpoint: Path) -> dict[str, str]:
    """Return what is wrong with each file of a checkpoint, by its name; every byte is read.

    Args:
        checkpoint: The folder ``step-N``.

    Returns:
        Empty if all is well. Files that are absent are ``missing``; where ``state.json`` itself
        cannot be used, nothing can be said of the others.
    """
    try:
        state = _load_state(checkpoint)
    except (OSError, ValueError) as error:
        return {STATE: str(getattr(error, "strerror", None) or error)}
    if state["format"] != FORMAT:
        return {STATE: "it was written by another version of lmkit"}
    found = {}
    for name, entry in state["files"].items():
        file = checkpoint / name
        if not file.is_file():
            found[name] = MISSING
        elif problem := _told_problem(file, entry):
            found[name] = problem
    return found


def _told_problem(file: Path, entry: Mapping[str, Any]) -> str | None:
    try:
        return _file_problem(file, entry)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def _file_problem(file: Path, entry: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a file of tensors; None if it is what was written.

    Raises:
        OSError: If it cannot be read.
    """
    try:
        if difference := differs(file, entry):
            return difference
        read_forms(file)
    except ValueError as error:
        return str(error)
    return None


def refuse_absent(checkpoint: Path, state: dict[str, Any]) -> None:
    """Refuse a checkpoint that lacks a file although its detector is there: a slim copy.

    Args:
        checkpoint: The folder ``step-N``, to go on from.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.

    Raises:
        LmkitError: If a recorded file is not there.
    """
    needed = [name for name in state["files"] if name != tensor_file(checkpoint, METRICS).name]
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
    entry = state["files"].get(file.name)
    if entry is None:
        raise damaged(checkpoint, f"{file.name} is {MISSING}")
    return str(entry["sha256"])


def verified_file(checkpoint: Path, state: dict[str, Any], name: str) -> Path:
    """Return a file of tensors whose content is what was written.

    Args:
        checkpoint: The folder ``step-N``.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.
        name: What the tensors are of: ``detector``, ``optimizer``.

    Raises:
        LmkitError: If it is missing, its SHA-256 differs, or it cannot be read.
    """
    file = tensor_file(checkpoint, name)
    entry = state["files"].get(file.name)
    if entry is None or not file.is_file():
        raise damaged(checkpoint, f"{file.name} is {MISSING}")
    try:
        problem = _file_problem(file, entry)
    except OSError as error:
        raise unusable(checkpoint, file, error) from None
    if problem:
        raise damaged(checkpoint, f"{file.name} is not what was written ({problem})")
    return file


def read_tensors(
    checkpoint: Path,
    state: dict[str, Any],
    name: str,
    device: torch.device,
    wanted: State | None = None,
) -> dict[str, Tensor]:
    """Read tensors whose file is what was written; see ``verified_file``.

    Args:
        checkpoint: The folder ``step-N``.
        state: What [read_state][lmkit.interfaces.checkpoint_files.read_state] returned.
        name: What the tensors are of: ``detector``, ``optimizer``.
        device: Where they are put.
        wanted: The state of the network that is to load them; any tensors if not given.

    Raises:
        LmkitError: If the file is missing, is not what was written, or holds other tensors.
    """
    file = verified_file(checkpoint, state, name)
    try:
        if wanted is not None and (other := wanted.objection(read_forms(file))):
            raise does_not_fit(file, other)
        return load_tensors(file, str(device))
    except (OSError, ValueError) as error:
        raise unusable(checkpoint, file, error) from None


def does_not_fit(file: Path, what: str) -> LmkitError:
    """Return the error for tensors that are not those of the components of a run.

    Args:
        file: That holds them.
        what: Which differ, and how.
    """
    return LmkitError(
        f"{file} does not fit the components of run.json: {what[:300]}.",
        remedy="The plugin that brings the component has changed, or run.json is of another run: "
        "install the version that run.json names, or restore the file.",
        code=ExitCode.RUN,
    )


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


def unusable(checkpoint: Path, file: Path, error: Exception) -> LmkitError:
    """Return the error for a file of a checkpoint that cannot be used.

    Args:
        checkpoint: The folder ``step-N``.
        file: In it.
        error: What came of reading it. Where it is the system that refuses, nothing is known of the
            file, and nothing is called damaged.
    """
    if isinstance(error, OSError) and is_refused(error):
        return read_error(file, error)
    return damaged(
        checkpoint, f"{file.name} cannot be used: {getattr(error, 'strerror', None) or error}"
    )


def damaged(checkpoint: Path, what: str) -> LmkitError:
    """Return the error for a damaged checkpoint, with the one that can be used in its place.

    Args:
        checkpoint: The folder ``step-N``.
        what: What is damaged, and how.
    """
    other = _other(checkpoint) or " Move that folder away. There is no other; train again."
    return LmkitError(
        f"Checkpoint {checkpoint} is damaged: {what}.", remedy=other.strip(), code=ExitCode.RUN
    )


def _other(checkpoint: Path) -> str:
    """Return the way to fall back on another checkpoint, if there is one that is sound."""
    others = [each for each in list_steps(checkpoint.parent).values() if each != checkpoint]
    newer: list[str] = []
    for other in reversed(others):
        # What is measured, but not written yet, decides nothing.
        if not find_damage(other).keys() - {tensor_file(other, METRICS).name}:
            also = f", and {' and '.join(newer)}, damaged as well" if newer else ""
            return f" Move that folder away{also}. {other.name} is then taken."
        newer.append(other.name)
    if not newer:
        return ""
    return f" {' and '.join(newer)} cannot be used either: train again."
