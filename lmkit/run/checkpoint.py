"""Checkpoints: safetensors and JSON, written aside and renamed, verified when read, two kept.

A checkpoint is a folder ``step-N`` with one file of tensors for each network that has any, one for
the optimiser, and ``state.json`` with the step and every file's SHA-256. It becomes visible by a
rename, after everything in it has reached the disk. Nothing is pickled.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.weights import list_steps, sha256
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import Assembly
from lmkit.storage import (
    flush_file,
    flush_folder,
    put_in_place,
    read_json,
    storage_error,
    write_json,
)

FORMAT = 1


def list_checkpoints(folder: RunFolder) -> dict[int, Path]:
    """Return the complete checkpoints of a run by step, oldest first."""
    return list_steps(folder.checkpoints)


def save_checkpoint(
    folder: RunFolder, step: int, assembly: Assembly, optimizer: Optimizer, *, keep: int
) -> Path:
    """Save a run after ``step`` steps, then drop the oldest checkpoints beyond ``keep``.

    Raises:
        LmkitError: If it cannot be written, or the weights are not finite. Checkpoints that are
            there stay there.
    """
    tensors = {name: network.state_dict() for name, network in assembly.networks()}
    tensors["optimizer"] = _flatten_optimizer(optimizer)
    _check_finite(tensors, step)
    final = folder.checkpoints / f"step-{step}"
    aside = folder.checkpoints / f".step-{step}.partial"
    try:
        folder.checkpoints.mkdir(exist_ok=True)
        remove_leftovers(folder)
        aside.mkdir()
        files = {}
        for name, content in tensors.items():
            if content:
                file = aside / f"{name}.safetensors"
                save_file({key: _plain(value) for key, value in content.items()}, file)
                files[file.name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
                flush_file(file)
        write_json(aside / "state.json", {"format": FORMAT, "step": step, "files": files})
        if final.exists():
            shutil.rmtree(final)
        put_in_place(aside, final)
        flush_folder(folder.checkpoints)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise storage_error(final, error) from error
    except LmkitError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for old in list(list_checkpoints(folder).values())[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def remove_leftovers(folder: RunFolder) -> None:
    """Remove what a killed run left of a checkpoint it was writing."""
    for path in folder.checkpoints.glob(".step-*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def load_checkpoint(
    path: Path, assembly: Assembly, optimizer: Optimizer | None, *, device: torch.device
) -> int:
    """Load a checkpoint into live components, and return its step.

    Raises:
        LmkitError: If it is damaged or does not fit.
    """
    state = _read_state(path)
    for name, network in assembly.networks():
        wanted = network.state_dict()
        content = _read_tensors(path, state, name, device) if wanted else {}
        _load_into(network, content, path / f"{name}.safetensors")
    if optimizer is not None:
        _unflatten_optimizer(optimizer, _read_tensors(path, state, "optimizer", device))
    return int(state["step"])


def load_detector(path: Path, detector: torch.nn.Module, *, device: torch.device) -> int:
    """Load a checkpoint's detector alone, and return the checkpoint's step.

    Raises:
        LmkitError: If it is damaged or does not fit.
    """
    state = _read_state(path)
    content = _read_tensors(path, state, "detector", device)
    _load_into(detector, content, path / "detector.safetensors")
    return int(state["step"])


def latest_checkpoint(folder: RunFolder) -> Path:
    """Return the newest checkpoint.

    Raises:
        LmkitError: If there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise LmkitError(
            f"{folder.path} has no checkpoint yet.",
            remedy=f"Train it first: lmkit train --resume {folder.path}",
            code=ExitCode.RUN,
        )
    return found[max(found)]


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = read_json(path / "state.json")
    except LmkitError as error:
        raise _damaged(path, error.problem) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise LmkitError(
            f"{path} was written by another version of lmkit.",
            remedy="Open it with the version named in run.json.",
            code=ExitCode.RUN,
        )
    return state


def _read_tensors(
    path: Path, state: dict[str, Any], name: str, device: torch.device
) -> dict[str, Tensor]:
    file = path / f"{name}.safetensors"
    recorded = state["files"].get(file.name)
    if recorded is None or not file.is_file():
        raise _damaged(path, f"{file.name} is missing")
    if sha256(file) != recorded["sha256"]:
        raise _damaged(path, f"{file.name} is not what was written (its SHA-256 differs)")
    return load_file(file, device=str(device))


def _damaged(path: Path, what: str) -> LmkitError:
    others = [other for other in list_steps(path.parent).values() if other != path]
    rest = f" {others[-1].name} is then taken." if others else ""
    return LmkitError(
        f"Checkpoint {path} is damaged: {what}.",
        remedy=f"Move that folder away.{rest or ' There is no other; train anew.'}",
        code=ExitCode.RUN,
    )


def _load_into(network: torch.nn.Module, content: dict[str, Tensor], file: Path) -> None:
    try:
        network.load_state_dict(content)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise LmkitError(
            f"{file} does not fit the components of run.json: {' '.join(lines)[:300]}",
            remedy="The plugin that brings the component has changed; install the version that "
            "run.json names.",
            code=ExitCode.RUN,
        ) from None


def _flatten_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's moments as ``{"<parameter number>.<name>": tensor}``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def _unflatten_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # A fused optimiser walks weights and moments side by side in memory: the moments must
            # lie as the weights do (channels-last), not as they lay in the file.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _check_finite(tensors: dict[str, dict[str, Tensor]], step: int) -> None:
    for name, content in tensors.items():
        floating = [value for value in content.values() if value.is_floating_point()]
        sums = torch.stack([value.float().sum().cpu() for value in floating] or [torch.zeros(())])
        if not sums.isfinite().all():
            raise LmkitError(
                f"After step {step} the {name} holds values that are not finite; it is not saved.",
                remedy="Lower optimizer.learning_rate, or train with --set run.precision=float32, "
                "and resume from the last checkpoint.",
                code=ExitCode.DIVERGED,
            )


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()
