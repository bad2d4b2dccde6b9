"""What belongs to the run and to no component."""

from dataclasses import dataclass
from typing import Literal

from lmkit.settings.checks import check_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What belongs to the run and to no component.

    Args:
        steps: Steps of training in total; a resumed run goes on up to this number.
        batch_size: Images a step, of all processes together.
        accumulate: Passes in which each process computes its share of a batch, one after the other:
            less memory for the same gradient.
        landmarks: Number of landmarks K.
        image_size: Side of the square images the networks see, in pixels.
        seed: Everything random follows from it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        sync_batch_norm: Where several processes train together, whether BatchNorm goes by the
            images of all of them or by each one's own.
        precision: Of the networks; ``auto`` is bfloat16 autocast on CUDA and float32 elsewhere.
            Geometry and losses are float32 always.
        compile: Whether torch.compile makes kernels for the networks, and in which of its modes;
            where that fails, they run as they are.
        checkpoint_every: Steps between checkpoints.
        keep: How many of the newest checkpoints are kept.
        log_every: Steps between lines of metrics.
        sheet_every: Steps between sheets; 0 for sheets at the end alone.
    """

    steps: int = 1000
    batch_size: int = 32
    accumulate: int = 1
    landmarks: int = 10
    image_size: int = 128
    seed: int = 0
    device: str = "auto"
    sync_batch_norm: bool = True
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"
    checkpoint_every: int = 500
    keep: int = 2
    log_every: int = 20
    sheet_every: int = 500

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "batch_size": 1, "landmarks": 1, "image_size": 16, "seed": 0}
        at_least |= {"accumulate": 1}
        at_least |= {"checkpoint_every": 1, "keep": 1, "log_every": 1, "sheet_every": 0}
        check_at_least("run", self, at_least)
