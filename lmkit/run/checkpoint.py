"""Live components into checkpoints and back: written aside and renamed, two kept.

A checkpoint becomes visible by a rename, after everything in it has reached the disk. Nothing is
pickled. How it lies on the disk and is verified is in ``interfaces/checkpoint_files.py``.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.checkpoint_files import (
    METRICS,
    STATE,
    damaged,
    describe_checkpoint,
    does_not_fit,
    list_steps,
    read_state,
    read_tensors,
    refuse_absent,
    step_folder,
    tensor_file,
)
from lmkit.interfaces.tensor_files import state_of
from lmkit.records import describe_file, write_record
from lmkit.run.folder import RunFolder
from lmkit.run.moments import check_moments
from lmkit.runtime.assemble import Assembly
from lmkit.storage import flush_file, flush_folder, put_in_place, storage_error


def list_checkpoints(folder: RunFolder) -> dict[int, Path]:
    """Return the complete checkpoints of a run by step, oldest first."""
    return list_steps(folder.checkpoints)


def save_checkpoint(
    folder: RunFolder,
    step: int,
    assembly: Assembly,
    optimizer: Optimizer,
    *,
    keep: int,
    metrics: Mapping[str, Tensor] | None = None,
) -> Path:
    """Save a run after ``step`` steps, then drop the oldest checkpoints beyond ``keep``.

    Args:
        folder: The run's.
        step: Steps done.
        assembly: The components.
        optimizer: What trains them.
        keep: How many checkpoints are kept.
        metrics: What was measured since the last line of metrics, so that a run that is stopped
            and gone on with writes the lines of one that is not; it may hold what is not finite.

    Raises:
        LmkitError: If it cannot be written, or the weights are not finite. Checkpoints that are
            there stay there.
    """
    tensors = {name: network.state_dict() for name, network in assembly.networks()}
    tensors["optimizer"] = _flatten_optimizer(optimizer)
    _check_finite(tensors, step)
    tensors[METRICS] = dict(metrics or {})
    final = step_folder(folder.checkpoints, step)
    aside = final.with_name(f".{final.name}.partial")
    try:
        folder.checkpoints.mkdir(exist_ok=True)
        remove_leftovers(folder)
        aside.mkdir()
        files = {}
        for name, content in tensors.items():
            if content:
                file = tensor_file(aside, name)
                save_file({key: _plain(value) for key, value in content.items()}, file)
                files[file.name] = describe_file(file)
                flush_file(file)
        write_record(aside / STATE, describe_checkpoint(step, files))
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
        LmkitError: If it is damaged, does not fit, or is a copy that only predicts.
    """
    state = read_state(path)
    refuse_absent(path, state)
    for name, network in assembly.networks():
        if network.state_dict():
            _load_network(path, state, name, network, device)
    if optimizer is not None:
        moments = load_moments(path, _parameters(optimizer), device=device)
        _unflatten_optimizer(optimizer, moments)
    return int(state["step"])


def load_moments(
    path: Path, parameters: Sequence[Tensor], *, device: torch.device
) -> dict[str, Tensor]:
    """Return what a checkpoint holds of an optimiser's moments, which are of its parameters.

    Args:
        path: The checkpoint.
        parameters: Those that the optimiser trains, in its order.
        device: Where the moments are put.

    Returns:
        ``NUMBER.NAME`` for each parameter and moment.

    Raises:
        LmkitError: If they are damaged, or of other parameters.
    """
    state = read_state(path)
    moments = read_tensors(path, state, "optimizer", device)
    try:
        check_moments(moments, parameters, state["step"])
    except ValueError as error:
        raise does_not_fit(tensor_file(path, "optimizer"), str(error)) from None
    return moments


def load_metrics(path: Path, *, device: torch.device) -> dict[str, Tensor] | None:
    """Return what a checkpoint holds of the metrics: scalars by name.

    Nothing that is trained depends on it, so that damage is no reason to refuse the checkpoint.

    Returns:
        Empty where the checkpoint is of a run from before this was saved; None where it is damaged.
    """
    state = read_state(path)
    if tensor_file(path, METRICS).name not in state["files"]:
        return {}
    try:
        return read_tensors(path, state, METRICS, device)
    except (LmkitError, OSError):
        return None


def load_detector(path: Path, detector: torch.nn.Module, *, device: torch.device) -> int:
    """Load a checkpoint's detector alone, and return the checkpoint's step.

    Raises:
        LmkitError: If it is damaged or does not fit.
    """
    return load_network(path, "detector", detector, device=device)


def load_network(path: Path, name: str, network: torch.nn.Module, *, device: torch.device) -> int:
    """Load one network of a checkpoint, and return the checkpoint's step.

    Args:
        path: The checkpoint.
        name: What the network is in it: ``detector``, ``generator``.
        network: Takes the weights.
        device: Where they are read to.

    Raises:
        LmkitError: If it is damaged, lacks the network or does not fit.
    """
    state = read_state(path)
    _load_network(path, state, name, network, device)
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


def newest_step(folder: RunFolder) -> int:
    """Return the step of the newest checkpoint, once that has confirmed it; 0 without one.

    Raises:
        LmkitError: If the checkpoint's ``state.json`` is damaged.
    """
    found = list_checkpoints(folder)
    return int(read_state(found[max(found)])["step"]) if found else 0


def _load_network(
    path: Path, state: dict[str, Any], name: str, network: torch.nn.Module, device: torch.device
) -> None:
    """Load a network's tensors, if all are there, of its types and shapes, and finite."""
    file = tensor_file(path, name)
    content = read_tensors(path, state, name, device, state_of(network))
    if not _are_finite(content):
        raise damaged(path, f"{file.name} holds values that are not finite")
    try:
        network.load_state_dict(content)
    except RuntimeError as error:
        # A network may have ways of its own to take in its state.
        raise does_not_fit(file, " ".join(str(error).split())) from None


def _flatten_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's moments as ``{"<parameter number>.<name>": tensor}``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def _unflatten_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = _parameters(optimizer)
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


def _parameters(optimizer: Optimizer) -> list[torch.nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _check_finite(tensors: dict[str, dict[str, Tensor]], step: int) -> None:
    for name, content in tensors.items():
        if not _are_finite(content):
            raise LmkitError(
                f"After step {step} the {name} holds values that are not finite; it is not saved.",
                remedy="Lower optimizer.learning_rate, or train with --set run.precision=float32, "
                "and resume from the last checkpoint.",
                code=ExitCode.DIVERGED,
            )


def _are_finite(content: Mapping[str, Tensor]) -> bool:
    floating = [value for value in content.values() if value.is_floating_point()]
    sums = torch.stack([value.float().sum().cpu() for value in floating] or [torch.zeros(())])
    return bool(sums.isfinite().all())


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()
