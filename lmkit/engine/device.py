"""Where a run computes, and in which precision."""

import contextlib
from collections.abc import Callable

import torch

from lmkit.errors import LmkitError


def choose_device(name: str) -> torch.device:
    """Return a device that is really there.

    Args:
        name: ``auto`` (CUDA, else MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        LmkitError: If there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    present = {
        "cpu": device.type == "cpu",
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        here += ["mps"] if torch.backends.mps.is_available() else []
        raise LmkitError(
            f"--device {name}: there is no such device here.",
            remedy=f"Choose one of: auto, {', '.join(here)}.",
        )
    return device


def describe_device(device: torch.device) -> str:
    """Return what to call a device where speeds on it are compared with those on others."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
    return device.type.upper()


def autocast_for(
    device: torch.device, precision: str
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """Return a function that makes the context in which networks run.

    Args:
        device: Where they run.
        precision: ``auto``, ``float32`` or ``bfloat16``, see ``run.precision``.
    """
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    if not half:
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
