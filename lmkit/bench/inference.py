"""Detection against its plain counterpart: the detector alone, as opened runs use it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from lmkit.bench.stopwatch import Times, in_turn, matrix_rate, ratio
from lmkit.comparison.cost import count_operations
from lmkit.data.framing import build_framer
from lmkit.data.loading import read_images
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction.stream import detect, ready_to_detect
from lmkit.preparation.prepared import Prepared, prepare
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import build_detector
from lmkit.runtime.device import autocast_for, choose_device, describe_device, dtype_for
from lmkit.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """What one way costs.

    Args:
        seconds: Of a batch.
        images_per_second: By the median.
        tflops: Million million operations a second.
        share_of_matrix_rate: The same, as a share of what a large matrix product reaches.
    """

    seconds: Times
    images_per_second: float
    tflops: float
    share_of_matrix_rate: float


@dataclass(frozen=True, slots=True)
class InferenceBench:
    """What a measurement of detection found.

    Args:
        device: What it ran on.
        precision: Of the fast way.
        settings: The run's, as ``{"section.key": value}``.
        plain: Float32, channels first.
        fast: As opened runs detect.
        ratio: How many times as fast the fast way is: the median over the rounds.
        gflop_per_image: Thousand million operations, counted.
        matrix_tflops: The rate of a large matrix product in the fast way's precision.
        distance: How far a point of the fast way is from the plain one's, at most, in pixels.
    """

    device: str
    precision: str
    settings: dict[str, Any]
    plain: DetectionReport
    fast: DetectionReport
    ratio: float
    gflop_per_image: float
    matrix_tflops: float
    distance: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"torch": torch.__version__, **asdict(self)}


def measure_inference(
    settings: Settings,
    registry: Registry,
    *,
    rounds: int = 5,
    warm_up: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> InferenceBench:
    """Time detection beside its plain way, in turn, in this process.

    Args:
        settings: Of the run whose detector it is; its weights do not matter.
        registry: Where components are looked up.
        rounds: How often each way is timed.
        warm_up: How often each runs before.
        progress: Called with the number of batches done, and of all.

    Raises:
        LmkitError: If the data cannot be used, or the detector breaks.
    """
    device = choose_device(settings.run.device)
    ready = prepare(settings, registry)
    images = _read_some(ready)
    plain = build_detector(settings, registry).to(device).eval()
    fast = ready_to_detect(build_detector(settings, registry), device)
    autocast = autocast_for(device, settings.run.precision)

    def detect_plainly() -> Tensor:
        with torch.no_grad():
            points: Tensor = plain(images.to(device).float() / 255).points
        return points

    def detect_fast() -> Tensor:
        return detect(fast, images, device, autocast).points

    operations = count_operations(plain, settings.run.image_size) * len(images)
    distance = (detect_fast() - detect_plainly()).abs().max().item() * settings.run.image_size / 2
    works: dict[str, Callable[[], object]] = {"plain": detect_plainly, "fast": detect_fast}
    times = in_turn(works, device, rounds=rounds, warm_up=warm_up, progress=progress)
    dtype = dtype_for(device, settings.run.precision)
    rate = matrix_rate(device, dtype)

    def report(name: str) -> DetectionReport:
        seconds = Times.of(times[name])
        speed = operations / seconds.median
        return DetectionReport(
            seconds, len(images) / seconds.median, speed / 1e12, share_of_matrix_rate=speed / rate
        )

    return InferenceBench(
        device=describe_device(device),
        precision=str(dtype).removeprefix("torch."),
        settings=settings.flat(),
        plain=report("plain"),
        fast=report("fast"),
        ratio=ratio(times["plain"], times["fast"]),
        gflop_per_image=operations / len(images) / 1e9,
        matrix_tflops=rate / 1e12,
        distance=distance,
    )


def _read_some(ready: Prepared) -> Tensor:
    """Read the first batch of images of which any can be read.

    Raises:
        LmkitError: If there is none.
    """
    settings, unreadable = ready.settings, Unreadable(1.0)
    batches = read_images(
        ready.dataset,
        ready.split.train,
        framer=build_framer(settings),
        batch_size=settings.run.batch_size,
        unreadable=unreadable,
    )
    for batch in batches:
        return batch.images
    first = unreadable.report()[0]
    raise LmkitError(
        f"None of the {len(ready.split.train)} images can be read: {first['image']} "
        f"({first['reason']}) and all others.",
        remedy="Check the files; lmkit predict reads a single image.",
        code=ExitCode.DATA,
    )
