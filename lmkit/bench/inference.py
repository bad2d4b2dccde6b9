"""What detection costs: the detector alone, as opened runs use it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from lmkit.bench.stopwatch import Times, in_turn, matrix_precision, matrix_rate
from lmkit.data.framing import build_framer
from lmkit.data.loading import read_images
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction.stream import detect, ready_to_detect
from lmkit.preparation.prepared import Prepared, prepare
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import build_detector
from lmkit.runtime.device import autocast_for, choose_device, describe_device, dtype_for
from lmkit.runtime.operations import count_detection
from lmkit.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """What the detection of a batch costs.

    Args:
        seconds: Of a batch.
        images_per_second: By the median.
        gflop_per_image: Thousand million operations, counted.
        tflops: Million million operations a second.
        share_of_matrix_rate: The same, as a share of what a large matrix product reaches on this
            device in the precision of the network.
    """

    seconds: Times
    images_per_second: float
    gflop_per_image: float
    tflops: float
    share_of_matrix_rate: float

    @classmethod
    def of(
        cls, seconds: list[float], images: int, operations: int, rate: float
    ) -> "DetectionReport":
        """Summarise a measurement.

        Args:
            seconds: Of every round.
            images: In a batch.
            operations: Of one image.
            rate: Operations a second of a large matrix product.
        """
        times = Times.of(seconds)
        speed = operations * images / times.median
        return cls(times, images / times.median, operations / 1e9, speed / 1e12, speed / rate)


@dataclass(frozen=True, slots=True)
class InferenceBench:
    """What a measurement of detection found.

    Args:
        device: What it ran on.
        precision: Of the network.
        settings: The run's, as ``{"section.key": value}``.
        detection: What a batch costs.
        matrix_tflops: The rate of a large matrix product.
        matrix_precision: What it is computed in, as for a training step.
    """

    device: str
    precision: str
    settings: dict[str, Any]
    detection: DetectionReport
    matrix_tflops: float
    matrix_precision: str

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
    """Time detection in this process.

    Args:
        settings: Of the run whose detector it is; its weights do not matter.
        registry: Where components are looked up.
        rounds: How many batches are timed.
        warm_up: How many are detected before.
        progress: Called with the number of batches done, and of all.

    Raises:
        LmkitError: If the data cannot be used, or the detector breaks.
    """
    device = choose_device(settings.run.device)
    images = read_batch(prepare(settings, registry))
    detector = build_detector(settings, registry)
    operations = count_detection(detector.to(device).eval(), settings.run.image_size)
    detector = ready_to_detect(detector, device)
    autocast = autocast_for(device, settings.run.precision)
    works: dict[str, Callable[[], object]] = {
        "detection": lambda: detect(detector, images, device, autocast)
    }
    times = in_turn(works, device, rounds=rounds, warm_up=warm_up, progress=progress)
    dtype = dtype_for(device, settings.run.precision)
    rate = matrix_rate(device, dtype)
    return InferenceBench(
        device=describe_device(device),
        precision=str(dtype).removeprefix("torch."),
        settings=settings.flat(),
        detection=DetectionReport.of(times["detection"], len(images), operations, rate),
        matrix_tflops=rate / 1e12,
        matrix_precision=matrix_precision(device, dtype),
    )


def read_batch(ready: Prepared) -> Tensor:
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
