"""Timing side by side: several things in turn, after a warm-up, medians with their spread."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_MATRIX = {"cuda": (8192, 10), "cpu": (768, 1)}
"""Side of the matrices whose product shows what a device can do, and how many are timed at once."""


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one thing, in seconds.

    Args:
        median: Of all.
        low: Their lower quartile.
        high: Their upper quartile.
        count: How many there are.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, seconds: list[float]) -> "Times":
        """Summarise one time or more."""
        low, _, high = quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return cls(median(seconds), low, high, len(seconds))


def finish(device: torch.device) -> None:
    """Wait until a device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def clock(device: torch.device, work: Callable[[], object]) -> float:
    """Return how many seconds some work takes, all of it done."""
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def in_turn(
    works: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    rounds: int,
    warm_up: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[float]]:
    """Time several works one after the other, round by round, so that all meet the same machine.

    Args:
        works: By name.
        device: Where they compute.
        rounds: How often each is timed.
        warm_up: How often each runs before, untimed.
        progress: Called with the number of works done, and of all.

    Returns:
        For each work the seconds of every round.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    total = (warm_up + rounds) * len(works)
    done = 0
    for number in range(warm_up + rounds):
        for name, work in works.items():
            seconds = clock(device, work)
            if number >= warm_up:
                times[name].append(seconds)
            done += 1
            progress(done, total)
    return times


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int | None]]:
    """Watch memory, and give a function that returns the most that was in use, in bytes.

    On CUDA that of PyTorch's tensors, on Linux' CPUs that of the process; none elsewhere.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    try:
        # Makes the process's high-water mark its present size.
        _RESET.write_text("5")
    except OSError:
        yield lambda: None
        return
    yield _high_water_mark


def _high_water_mark() -> int | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def matrix_precision(device: torch.device, dtype: torch.dtype) -> str:
    """Return the precision in which a matrix product is like the convolutions of networks.

    Args:
        device: Where they compute.
        dtype: Their type.

    Returns:
        ``tf32`` where cuDNN rounds what float32 convolutions multiply, which it does by default;
        otherwise the name of the type.
    """
    cudnn: Any = torch.backends.cudnn
    rounds = device.type == "cuda" and cudnn.conv.fp32_precision == "tf32"
    if dtype == torch.float32 and rounds and torch.cuda.get_device_capability(device) >= (8, 0):
        return "tf32"
    return str(dtype).removeprefix("torch.")


@contextmanager
def _like_convolutions(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Let matrix products round as convolutions do; torch has a setting for each."""
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    if matrix_precision(device, dtype) == "tf32":
        products.fp32_precision = "tf32"
    try:
        yield
    finally:
        products.fp32_precision = before


def matrix_rate(device: torch.device, dtype: torch.dtype, rounds: int = 5) -> float:
    """Return the operations a second of a large matrix product: what the device can do at most.

    A multiplication and the addition that follows are two operations. It is computed in
    [matrix_precision][lmkit.bench.stopwatch.matrix_precision].

    Args:
        device: Where to multiply.
        dtype: In which precision.
        rounds: How many times the median is taken of.
    """
    side, products = _MATRIX.get(device.type, (2048, 10))
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> Tensor:
        for _ in range(products):
            result = left @ right
        return result

    with _like_convolutions(device, dtype):
        multiply()
        seconds = median([clock(device, multiply) for _ in range(rounds)])
    return products * 2 * side**3 / seconds
