"""Where a run computes, and in which precision."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch

from lmkit.errors import LmkitError
from lmkit.runtime.launch import Place, place
from lmkit.runtime.self_check import verdict


def choose_device(name: str) -> torch.device:
    """Return a device that is really there.

    Args:
        name: ``auto`` (CUDA, else MPS where a small step comes out there as on the CPU, else the
            CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Of several processes that train together
            each has the GPU of its own number under ``cuda`` and, where there is one, under
            ``auto``.

    Raises:
        LmkitError: If there is no such device, or not one for each process.
    """
    here = place()
    if here.world > 1:
        name = _own_device(name, here)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if _mps_is_right() else "cpu")
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
        found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        found += ["mps"] if torch.backends.mps.is_available() else []
        raise LmkitError(
            f"--device {name}: there is no such device here.",
            remedy=f"Choose one of: auto, {', '.join(found)}.",
        )
    return device


def _mps_is_right() -> bool:
    """Return whether there is MPS and it computes right; warn where it does not.

    Torch's kernels for it have been wrong more than once without a word.
    """
    if not torch.backends.mps.is_available():
        return False
    fault = verdict("mps").fault
    if fault:
        warnings.warn(
            f"The device mps is there, and not taken, because {fault}. Computing on the CPU; "
            "--device mps takes it all the same, and lmkit doctor --gpu says more.",
            stacklevel=3,
        )
    return not fault


def _own_device(name: str, here: Place) -> str:
    """Return the device of one of several processes; no two may share a GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        count = torch.cuda.device_count()
        if here.local_world > count:
            raise LmkitError(
                f"{here.local_world} processes were started on a machine with {count} "
                f"GPU{'' if count == 1 else 's'}.",
                remedy=f"Give torchrun --nproc-per-node {count}, or lmkit --device cpu.",
            )
        return f"cuda:{here.local_rank}"
    if name == "mps" or (name.startswith("cuda:") and here.local_world > 1):
        raise LmkitError(
            f"--device {name} is one device, and {here.local_world} processes were started here.",
            remedy="Give --device cuda, with which each process takes a GPU of its own, or cpu.",
        )
    return name


def describe_device(device: torch.device, count: int = 1) -> str:
    """Return what to call a device where speeds on it are compared with those on others.

    Args:
        device: The device.
        count: How many processes train on one each.
    """
    if count > 1:
        return f"{count} x {describe_device(device)}"
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
    return device.type.upper()


def dtype_for(device: torch.device, precision: str) -> torch.dtype:
    """Return the type in which networks compute.

    Args:
        device: Where they run.
        precision: ``auto``, ``float32`` or ``bfloat16``, see ``run.precision``.
    """
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.bfloat16 if half else torch.float32


def autocast_for(
    device: torch.device, precision: str
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """Return a function that makes the context in which networks run.

    Args:
        device: Where they run.
        precision: ``auto``, ``float32`` or ``bfloat16``, see ``run.precision``.
    """
    dtype = dtype_for(device, precision)
    if dtype == torch.float32:
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype=dtype)


@contextlib.contextmanager
def tuned(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its algorithms and keep the fastest, as pays where all batches have one size.

    Args:
        device: Where networks run; nothing changes unless it is a CUDA device.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
