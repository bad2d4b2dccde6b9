"""What a training step costs: its speed and that of its parts, operations, memory."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, cycle
from statistics import median
from typing import Any

import torch

from lmkit.bench.stepper import Stepper, Watch, watched
from lmkit.bench.stopwatch import (
    Times,
    clock,
    finish,
    in_turn,
    matrix_precision,
    matrix_rate,
    peak_memory,
)
from lmkit.data.framing import build_framer
from lmkit.data.loading import Batch, TrainingBatches
from lmkit.data.workers import workers_for
from lmkit.errors import LmkitError
from lmkit.preparation.prepared import Prepared, find_partners, prepare
from lmkit.registry.lookup import Registry
from lmkit.runtime.device import choose_device, describe_device, dtype_for
from lmkit.runtime.operations import count_operations
from lmkit.settings.settings import Settings

PARTS = ("deformation", "detector", "generator", "losses", "backward", "optimiser")
"""The parts of a step that are timed; what is between them is the rest."""

_BATCHES = 4
"""How many batches of images are held for the steps, which take them in turn."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a training step costs.

    Args:
        seconds: Of a step.
        images_per_second: By the median.
        gflop_per_image: Thousand million operations, counted; forward and backward.
        tflops: Million million operations a second.
        share_of_matrix_rate: The same, as a share of what a large matrix product reaches on this
            device in the precision of the networks.
        peak_memory: The most that was in use, in bytes; None where it cannot be told.
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
class TrainingBench:
    """What a measurement of the training step found.

    Args:
        device: What it ran on.
        precision: Of the networks.
        settings: The run's, as ``{"section.key": value}``.
        step: What a step costs.
        loading_seconds: Reading and framing the images of a batch, in the way the run would.
        workers: Processes that do so beside the steps; 0 where a step waits for its images.
        matrix_tflops: The rate of a large matrix product.
        matrix_precision: What it is computed in, as the networks' convolutions are: ``tf32`` where
            those of float32 round what they multiply.
    """

    device: str
    precision: str
    settings: dict[str, Any]
    step: StepReport
    loading_seconds: float
    workers: int
    matrix_tflops: float
    matrix_precision: str

    @property
    def seconds_in_a_run(self) -> float:
        """What a step takes in a run, with its images."""
        if self.workers:
            return max(self.step.seconds.median, self.loading_seconds)
        return self.step.seconds.median + self.loading_seconds

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
    """Time the training step in this process.

    Args:
        settings: Of the run that would train.
        registry: Where components are looked up.
        rounds: How many steps are timed.
        warm_up: How many are taken before.
        progress: Called with the number of steps done, and of all.

    Raises:
        LmkitError: If the run could not start, or a component breaks.
    """
    device = choose_device(settings.run.device)
    ready = find_partners(prepare(settings, registry))
    batches, loading = read_batches(ready, device)
    stepper = Stepper(settings, registry, device)
    refuse_truth(stepper)
    operations = {"step": count_step(stepper, batches[0])}
    # After the operations, which are not seen in compiled networks.
    stepper.compile()
    dtype = dtype_for(device, settings.run.precision)
    rate = matrix_rate(device, dtype)
    reports, _ = measure_steps(
        {"step": stepper},
        batches,
        operations,
        rate,
        rounds=rounds,
        warm_up=warm_up,
        progress=progress,
    )
    return TrainingBench(
        device=describe_device(device),
        precision=str(dtype).removeprefix("torch."),
        settings=settings.flat(),
        step=reports["step"],
        loading_seconds=loading,
        workers=workers_for(settings.loading.workers, device),
        matrix_tflops=rate / 1e12,
        matrix_precision=matrix_precision(device, dtype),
    )


def refuse_truth(stepper: Stepper) -> None:
    """Refuse losses that read what batches of images alone do not hold.

    Raises:
        LmkitError: If a loss learns from annotated points.
    """
    if stepper.assembly.needs_truth:
        raise LmkitError(
            "A loss learns from annotated points, and lmkit bench measures steps without.",
            remedy="Choose losses without annotation: --loss mse.",
        )


def measure_steps(
    steppers: Mapping[str, Stepper],
    batches: list[Batch],
    operations: Mapping[str, int],
    rate: float,
    *,
    rounds: int,
    warm_up: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, StepReport], dict[str, list[float]]]:
    """Time the steps of one stepper or more, which take them in turn.

    Args:
        steppers: By name, all on one device.
        batches: Of images.
        operations: How many each takes for a step, as it is counted before networks are compiled.
        rate: Operations a second of a large matrix product.
        rounds: How often each is timed.
        warm_up: How often each runs before.
        progress: Called with the number of steps done, and of all.

    Returns:
        What a step of each costs, and the seconds of every round.
    """
    device = next(iter(steppers.values())).device
    peaks = {name: _peak(each, batches[0], device) for name, each in steppers.items()}
    # One warm-up is done: the step whose memory was watched.
    times = _time(steppers, batches, device, rounds, max(warm_up - 1, 0), progress)
    size = len(batches[0].images)

    def report(name: str) -> StepReport:
        seconds = Times.of(times[name])
        speed = operations[name] / seconds.median
        return StepReport(
            seconds=seconds,
            images_per_second=size / seconds.median,
            gflop_per_image=operations[name] / size / 1e9,
            tflops=speed / 1e12,
            share_of_matrix_rate=speed / rate,
            peak_memory=peaks[name],
            parts=_parts(steppers[name], batches, device, min(rounds, 3)),
        )

    return {name: report(name) for name in steppers}, times


def read_batches(ready: Prepared, device: torch.device) -> tuple[list[Batch], float]:
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


def count_step(stepper: Stepper, batch: Batch) -> int:
    """Return the operations of a step, forward and backward."""
    with in_eval_mode(stepper):
        return count_operations(lambda: stepper.updater.backward(stepper.forward(batch, 0)))


@contextmanager
def in_eval_mode(stepper: Stepper) -> Iterator[None]:
    """Put the networks into eval mode, and after that forget the gradients they collected."""
    for _, network in stepper.assembly.networks():
        network.eval()
    yield
    for _, network in stepper.assembly.networks():
        network.zero_grad()
    stepper.assembly.train()


def _time(
    steppers: Mapping[str, Stepper],
    batches: list[Batch],
    device: torch.device,
    rounds: int,
    warm_up: int,
    progress: Callable[[int, int], None],
) -> dict[str, list[float]]:
    def steps(stepper: Stepper) -> Callable[[], object]:
        numbers, images = count(), cycle(batches)

        def step() -> None:
            stepper.step(next(images), next(numbers))

        return step

    works = {name: steps(stepper) for name, stepper in steppers.items()}
    with _without_collection():
        return in_turn(works, device, rounds=rounds, warm_up=warm_up, progress=progress)


def _parts(
    stepper: Stepper, batches: list[Batch], device: torch.device, rounds: int
) -> dict[str, float]:
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

        def step(batch: Batch = batch, number: int = number, part: Watch = part) -> None:
            loss = stepper.forward(batch, number, part, watched(stepper.assembly, part))
            part("backward", lambda: stepper.updater.backward(loss))
            part("optimiser", lambda: stepper.updater.apply(loss, number))

        with stepper.surroundings():
            total = clock(device, step)
        for name, seconds in spent.items():
            found[name].append(seconds)
        found["rest"].append(total - sum(spent.values()))
    return {name: median(seconds) for name, seconds in found.items()}


def _peak(stepper: Stepper, batch: Batch, device: torch.device) -> int | None:
    with peak_memory(device) as most:
        stepper.step(batch, 0)
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
