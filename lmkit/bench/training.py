"""The training step against its plain counterpart: speed, parts, operations, memory, agreement."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import count, cycle
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmkit.bench.plain import PlainUpdater, run_plain_step, weigh_plainly
from lmkit.bench.stopwatch import Times, clock, finish, in_turn, matrix_rate, peak_memory, ratio
from lmkit.config import Settings
from lmkit.data.loading import Batch, TrainingBatches
from lmkit.engine.assemble import Assembly, assemble, build_framer
from lmkit.engine.compiling import compile_networks
from lmkit.engine.device import autocast_for, choose_device, describe_device, tuned
from lmkit.engine.optimise import Updater
from lmkit.engine.step import run_step, weigh
from lmkit.engine.train import workers_for
from lmkit.errors import LmkitError
from lmkit.interfaces.deformation import Deformation, Views
from lmkit.interfaces.step import Step
from lmkit.preparation import Prepared, find_partners, prepare
from lmkit.registry.lookup import Registry

PARTS = ("deformation", "detector", "generator", "losses", "backward", "optimiser")
"""The parts of a step that are timed; what is between them is the rest."""

_BATCHES = 4
"""How many batches of pictures are held for the steps, which take them in turn."""

Part = Callable[[str, Callable[[], Any]], Any]
"""Runs a part of a step under its name."""


class Way(Protocol):
    """A way to take the training step."""

    assembly: Assembly

    def forward(self, assembly: Assembly, batch: Batch, number: int, part: Part) -> Tensor:
        """Return the loss of a step.

        Args:
            assembly: The way's own, or that with its components under watch.
            batch: Of pictures.
            number: The step.
            part: Runs the part called "losses".
        """

    def backward(self, loss: Tensor) -> None:
        """Collect the gradient of the loss."""

    def apply(self, loss: Tensor, number: int) -> None:
        """Take one optimiser step."""

    def surroundings(self) -> Any:
        """Return the context in which steps are taken."""


class PlainWay:
    """The step written the straightforward way.

    Args:
        settings: Of the run.
        registry: Where components are looked up.
        device: Where it computes.
    """

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        self.assembly = assemble(settings, registry)
        for _, network in self.assembly.networks():
            network.to(device)
        self.assembly.train()
        self._updater = PlainUpdater(self.assembly, settings.optimizer)
        self._seed = settings.run.seed
        self._device = device

    def forward(self, assembly: Assembly, batch: Batch, number: int, part: Part) -> Tensor:
        """See [Way][lmkit.bench.training.Way]."""
        partners = batch.partners
        step = run_plain_step(
            assembly,
            batch.images.to(self._device),
            batch.subjects,
            None if partners is None else partners.to(self._device),
            number=number,
            seed=self._seed,
        )
        loss: Tensor = part("losses", lambda: weigh_plainly(assembly, step))
        return loss

    def backward(self, loss: Tensor) -> None:
        """See [Way][lmkit.bench.training.Way]."""
        self._updater.backward(loss)

    def apply(self, loss: Tensor, number: int) -> None:
        """See [Way][lmkit.bench.training.Way]."""
        self._updater.apply(loss, number)

    def surroundings(self) -> Any:
        """See [Way][lmkit.bench.training.Way]."""
        return nullcontext()


class FastWay:
    """The step as training takes it.

    Args:
        settings: Of the run.
        registry: Where components are looked up.
        device: Where it computes.
    """

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        self.assembly = assemble(settings, registry)
        self.assembly.to(device)
        self.assembly.train()
        self._updater = Updater(self.assembly, settings.optimizer)
        self._autocast = autocast_for(device, settings.run.precision)
        self._seed = settings.run.seed
        self._device = device

    def forward(self, assembly: Assembly, batch: Batch, number: int, part: Part) -> Tensor:
        """See [Way][lmkit.bench.training.Way]."""
        partners = batch.partners
        step: Step = run_step(
            assembly,
            batch.images.to(self._device, non_blocking=True),
            batch.subjects,
            partners=None if partners is None else partners.to(self._device, non_blocking=True),
            number=number,
            seed=self._seed,
            autocast=self._autocast,
        )
        loss: Tensor = part("losses", lambda: weigh(assembly, step, self._autocast)[0])
        return loss

    def backward(self, loss: Tensor) -> None:
        """See [Way][lmkit.bench.training.Way]."""
        self._updater.backward(loss)

    def apply(self, loss: Tensor, number: int) -> None:
        """See [Way][lmkit.bench.training.Way]."""
        self._updater.apply(loss, number)

    def surroundings(self) -> Any:
        """See [Way][lmkit.bench.training.Way]."""
        return tuned(self._device)


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
    """How far two ways agree on the same pictures and weights, with normalisations in eval mode.

    In training mode BatchNorm makes the pictures of one call depend on one another, and the ways
    differ in which pictures share a call; nothing else depends on that.

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
        loading_seconds: Reading and framing the pictures of a batch, in the way the run would.
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
    half = _is_half(settings, device)
    rate = matrix_rate(device, torch.bfloat16 if half else torch.float32)
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
        precision="bfloat16" if half else "float32",
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


def _is_half(settings: Settings, device: torch.device) -> bool:
    return autocast_for(device, settings.run.precision) is not nullcontext


def _run(_: str, work: Callable[[], Any]) -> Any:
    return work()


def _count_operations(way: Way, batch: Batch) -> int:
    """Count the operations of a step, forward and backward, as PyTorch's counter does."""
    _evaluating(way)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        way.backward(way.forward(way.assembly, batch, 0, _run))
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
        loss = way.forward(way.assembly, batch, 0, _run)
        way.backward(loss)
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
        numbers, pictures = count(), cycle(batches)

        def step() -> None:
            number = next(numbers)
            with way.surroundings():
                loss = way.forward(way.assembly, next(pictures), number, _run)
                way.backward(loss)
                way.apply(loss, number)

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
            loss = way.forward(_watched(way.assembly, part), batch, number, part)
            part("backward", lambda: way.backward(loss))
            part("optimiser", lambda: way.apply(loss, number))

        with way.surroundings():
            total = clock(device, step)
        for name, seconds in spent.items():
            found[name].append(seconds)
        found["rest"].append(total - sum(spent.values()))
    return {name: median(seconds) for name, seconds in found.items()}


def _watched(assembly: Assembly, part: Part) -> Assembly:
    """Return an assembly whose components run as parts of a step."""
    watched: dict[str, Any] = {"deformation": _WatchedDeformation(assembly.deformation, part)}
    watched["detector"] = _Watched("detector", assembly.detector, part)
    if assembly.generator is not None:
        watched["generator"] = _Watched("generator", assembly.generator, part)
    return replace(assembly, **watched)


class _Watched:
    """Stands in for a network, and runs it as a part of the step."""

    def __init__(self, name: str, network: Any, part: Part) -> None:
        self._name = name
        self._network = network
        self._part = part

    def __call__(self, *given: Any) -> Any:
        return self._part(self._name, lambda: self._network(*given))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class _WatchedDeformation(Deformation):
    """Stands in for a deformation."""

    def __init__(self, deformation: Deformation, part: Part) -> None:
        self._deformation = deformation
        self._part = part

    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """Run it as a part of the step."""
        views: Views = self._part("deformation", lambda: self._deformation(images, generator))
        return views


def _peak(way: Way, batch: Batch, device: torch.device) -> int | None:
    with way.surroundings(), peak_memory(device) as most:
        loss = way.forward(way.assembly, batch, 0, _run)
        way.backward(loss)
        way.apply(loss, 0)
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
