"""The training step against its plain counterpart: speed, parts, operations, memory, agreement."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, cycle
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmkit.bench.stopwatch import Times, clock, finish, in_turn, matrix_rate, peak_memory, ratio
from lmkit.bench.ways import FastWay, Part, PlainWay, Way, watched
from lmkit.data.framing import build_framer
from lmkit.data.loading import Batch, TrainingBatches
from lmkit.data.workers import workers_for
from lmkit.errors import LmkitError
from lmkit.preparation.prepared import Prepared, find_partners, prepare
from lmkit.registry.lookup import Registry
from lmkit.runtime.device import choose_device, describe_device, dtype_for
from lmkit.settings.settings import Settings
from lmkit.training.compiling import compile_networks

PARTS = ("deformation", "detector", "generator", "losses", "backward", "optimiser")
"""The parts of a step that are timed; what is between them is the rest."""

_BATCHES = 4
"""How many batches of images are held for the steps, which take them in turn."""


@dataclass(frozen=True, slots=True)
class WayReport:
    """What one way costs.

    Args:
        seconds: Of a step.
        images_per_second: By the median.
        gflop_per_image: Thousand million operations, counted; forward and backward.
        tflops: Million million operations a second.
        share_of_matrix_rate: The same, as a share of what a large matrix product reaches on this
            device in the precision of the fast way.
        peak_memory: The most that was in use, in bytes; none where it cannot be told.
        parts: Seconds of each part, measured apart; "rest" is what lies between them.
    """

    seconds: Times
    images_per_second: float
    gflop_per_image: float
    tflops: float
    share_of_matrix_rate: float
    peak_memory: int | None
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two ways agree on the same images and weights, with normalisations in eval mode.

    In training mode BatchNorm makes the images of one call depend on one another, and the ways
    differ in which images share a call; nothing else depends on that.

    Args:
        loss: Difference of the losses, relative to the plain one.
        gradient: Norm of the difference of all gradients, relative to that of the plain one.
    """

    loss: float
    gradient: float


@dataclass(frozen=True, slots=True)
class TrainingBench:
    """What a measurement of the training step found.

    Args:
        device: What it ran on.
        precision: Of the fast way's networks.
        settings: The run's, as ``{"section.key": value}``.
        plain: The plain way.
        fast: The fast way.
        ratio: How many times as fast the fast way is: the median over the rounds.
        loading_seconds: Reading and framing the images of a batch, in the way the run would.
        matrix_tflops: The rate of a large matrix product in the fast way's precision.
        agreement: How far the two ways compute the same.
    """

    device: str
    precision: str
    settings: dict[str, Any]
    plain: WayReport
    fast: WayReport
    ratio: float
    loading_seconds: float
    matrix_tflops: float
    agreement: Agreement

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"torch": torch.__version__, **asdict(self)}


def measure_training(
    settings: Settings,
    registry: Registry,
    *,
    rounds: int = 10,
    warm_up: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingBench:
    """Time the training step beside the plain one, in turn, in this process.

    Args:
        settings: Of the run that would train.
        registry: Where components are looked up.
        rounds: How often each way is timed.
        warm_up: How often each runs before.
        progress: Called with the number of steps done, and of all.

    Raises:
        LmkitError: If the run could not start, or a component breaks.
    """
    device = choose_device(settings.run.device)
    ready = find_partners(prepare(settings, registry))
    batches, loading = _read_batches(ready, device)
    ways: dict[str, Way] = {
        "plain": PlainWay(settings, registry, device),
        "fast": FastWay(settings, registry, device),
    }
    if ways["fast"].assembly.needs_truth:
        raise LmkitError(
            "A loss learns from annotated points, and lmkit bench measures steps without.",
            remedy="Choose losses without annotation: --loss mse.",
        )
    operations = {name: _count_operations(way, batches[0]) for name, way in ways.items()}
    # After the operations, which are not seen in compiled networks; before steps in training mode,
    # which move the statistics of normalisations.
    for problem in compile_networks(ways["fast"].assembly, settings.run.compile, device):
        raise LmkitError(problem, remedy="Measure without: --set run.compile=none.")
    agreement = _compare(ways, batches[0])
    peaks = {name: _peak(way, batches[0], device) for name, way in ways.items()}
    # One warm-up is done: the step whose memory was watched.
    times = _time(ways, batches, device, rounds, max(warm_up - 1, 0), progress)
    parts = {name: _parts(way, batches, device, min(rounds, 3)) for name, way in ways.items()}
    dtype = dtype_for(device, settings.run.precision)
    rate = matrix_rate(device, dtype)
    size = settings.run.batch_size

    def report(name: str) -> WayReport:
        seconds = Times.of(times[name])
        speed = operations[name] / seconds.median
        return WayReport(
            seconds=seconds,
            images_per_second=size / seconds.median,
            gflop_per_image=operations[name] / size / 1e9,
            tflops=speed / 1e12,
            share_of_matrix_rate=speed / rate,
            peak_memory=peaks[name],
            parts=parts[name],
        )

    return TrainingBench(
        device=describe_device(device),
        precision=str(dtype).removeprefix("torch."),
        settings=settings.flat(),
        plain=report("plain"),
        fast=report("fast"),
        ratio=ratio(times["plain"], times["fast"]),
        loading_seconds=loading,
        matrix_tflops=rate / 1e12,
        agreement=agreement,
    )


def _read_batches(ready: Prepared, device: torch.device) -> tuple[list[Batch], float]:
    """Read some batches as training would; return them and the seconds that one takes."""
    settings = ready.settings
    reader = TrainingBatches(
        ready.dataset,
        ready.split.train,
        framer=build_framer(settings),
        batch_size=settings.run.batch_size,
        seed=settings.run.seed,
        start=0,
        stop=2 * _BATCHES,
        workers=workers_for(settings.loading.workers, device),
        partners=ready.partners,
        pin_memory=device.type == "cuda",
    )
    batches, seconds = [], []
    start = time.perf_counter()
    for batch in reader:
        seconds.append(time.perf_counter() - start)
        batches.append(batch)
        start = time.perf_counter()
    # The first ones have the start of worker processes in them.
    return batches[:_BATCHES], median(seconds[_BATCHES:])


def _count_operations(way: Way, batch: Batch) -> int:
    """Count the operations of a step, forward and backward, as PyTorch's counter does."""
    _evaluating(way)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        way.updater.backward(way.forward(batch, 0))
    _forget(way)
    total: int = counter.get_total_flops()
    return total


def _evaluating(way: Way) -> None:
    for _, network in way.assembly.networks():
        network.eval()


def _forget(way: Way) -> None:
    for _, network in way.assembly.networks():
        network.zero_grad()
    way.assembly.train()


def _compare(ways: Mapping[str, Way], batch: Batch) -> Agreement:
    losses, gradients = {}, {}
    for name, way in ways.items():
        _evaluating(way)
        loss = way.forward(batch, 0)
        way.updater.backward(loss)
        losses[name] = loss.item()
        gradients[name] = torch.cat(
            [
                p.grad.double().flatten()
                for _, network in way.assembly.networks()
                for p in network.parameters()
                if p.grad is not None
            ]
        )
        _forget(way)
    difference = (gradients["fast"] - gradients["plain"]).norm() / gradients["plain"].norm()
    return Agreement(
        loss=abs(losses["fast"] - losses["plain"]) / max(abs(losses["plain"]), 1e-12),
        gradient=difference.item(),
    )


def _time(
    ways: Mapping[str, Way],
    batches: list[Batch],
    device: torch.device,
    rounds: int,
    warm_up: int,
    progress: Callable[[int, int], None],
) -> dict[str, list[float]]:
    def steps(way: Way) -> Callable[[], object]:
        numbers, images = count(), cycle(batches)

        def step() -> None:
            way.step(next(images), next(numbers))

        return step

    works = {name: steps(way) for name, way in ways.items()}
    with _without_collection():
        return in_turn(works, device, rounds=rounds, warm_up=warm_up, progress=progress)


def _parts(way: Way, batches: list[Batch], device: torch.device, rounds: int) -> dict[str, float]:
    """Return the median seconds of each part of a step; each part waits for the one before."""
    found: dict[str, list[float]] = {name: [] for name in (*PARTS, "rest")}
    for number, batch in zip(range(rounds), cycle(batches), strict=False):
        spent = dict.fromkeys(PARTS, 0.0)

        def part(name: str, work: Callable[[], Any], spent: dict[str, float] = spent) -> Any:
            finish(device)
            start = time.perf_counter()
            result = work()
            finish(device)
            spent[name] += time.perf_counter() - start
            return result

        def step(batch: Batch = batch, number: int = number, part: Part = part) -> None:
            loss = way.forward(batch, number, part, watched(way.assembly, part))
            part("backward", lambda: way.updater.backward(loss))
            part("optimiser", lambda: way.updater.apply(loss, number))

        with way.surroundings():
            total = clock(device, step)
        for name, seconds in spent.items():
            found[name].append(seconds)
        found["rest"].append(total - sum(spent.values()))
    return {name: median(seconds) for name, seconds in found.items()}


def _peak(way: Way, batch: Batch, device: torch.device) -> int | None:
    with peak_memory(device) as most:
        way.step(batch, 0)
        return most()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python's garbage collector from running inside one of the times."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
