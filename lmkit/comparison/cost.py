"""What a run costs: parameters, operations for an image, and the speed at which it trained."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from torch import nn

from lmkit.run.run import Run
from lmkit.runtime.assemble import build
from lmkit.runtime.blame import blame
from lmkit.runtime.operations import count_detection


@dataclass(frozen=True, slots=True)
class Size:
    """How large a network is.

    Args:
        trainable: Numbers that training changes by their gradient.
        total: These, and those that stay as they are: frozen weights and filters. The statistics
            of normalisations are neither.
    """

    trainable: int
    total: int

    @classmethod
    def of(cls, network: nn.Module) -> "Size":
        """Count the numbers of a network."""
        trainable = sum(each.numel() for each in network.parameters() if each.requires_grad)
        statistics = {
            buffer
            for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._NormBase)
            for buffer in module.buffers(recurse=False)
        }
        stored = network.state_dict(keep_vars=True).values()
        return cls(trainable, sum(each.numel() for each in stored if each not in statistics))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs.

    Args:
        detector: How large the detector is.
        generator: How large the generator is; None if there is none, or its plugin is not here.
        gflop: Thousand million operations of the detector for one image; a multiplication and
            the addition that follows are two.
        images_per_second: How fast it trained: the median over its metrics; None if there are
            none.
        device: What it trained on; None if it is not known.
    """

    detector: Size
    generator: Size | None
    gflop: float
    images_per_second: float | None
    device: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def measure_cost(run: Run) -> Cost:
    """Return what a run costs.

    Raises:
        LmkitError: If it has no sound checkpoint, or its detector fails.
    """
    settings = run.settings
    generator = None
    if settings.generator["name"] != "none" and not run.missing("generator"):
        full = run.resolve("generator")
        generator = Size.of(build("generator", full.generator, full, run.registry))
    speed, device = training_speed(run)
    with blame(f"detector '{settings.detector['name']}'"):
        gflop = count_detection(run.detector, settings.run.image_size) / 1e9
    return Cost(Size.of(run.detector), generator, gflop, speed, device)


def training_speed(run: Run) -> tuple[float | None, str | None]:
    """Return the images a second of a run's training, and the device it was on last.

    The median over the lines of its metrics from that device, without the first, which has the
    start in it.
    """
    lines = run.folder.read_metrics()
    device = lines[-1].get("device") if lines else None
    here = [line.get("images_per_second") for line in lines if line.get("device") == device]
    speeds = [speed for speed in here if isinstance(speed, (int, float))]
    if not speeds:
        return None, None
    return median(speeds[1:] or speeds), device if isinstance(device, str) else None
