"""What belongs to the run and to no component."""

from dataclasses import dataclass
from typing import Literal

from lmkit.settings.fields import Effect, check_at_least, setting


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

    steps: int = setting(1000, Effect.LENGTH)
    batch_size: int = setting(32, Effect.RESULT)
    accumulate: int = setting(1, Effect.RESULT)
    landmarks: int = setting(10, Effect.RESULT)
    image_size: int = setting(128, Effect.RESULT)
    seed: int = setting(0, Effect.CHANCE)
    device: str = setting("auto", Effect.SPEED)
    sync_batch_norm: bool = setting(True, Effect.RESULT)
    precision: Literal["auto", "float32", "bfloat16"] = setting("auto", Effect.RESULT)
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = setting(
        "none", Effect.SPEED
    )
    checkpoint_every: int = setting(500, Effect.NOTHING)
    keep: int = setting(2, Effect.NOTHING)
    log_every: int = setting(20, Effect.NOTHING)
    sheet_every: int = setting(500, Effect.NOTHING)

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "batch_size": 1, "landmarks": 1, "image_size": 16, "seed": 0}
        at_least |= {"accumulate": 1}
        at_least |= {"checkpoint_every": 1, "keep": 1, "log_every": 1, "sheet_every": 0}
        check_at_least("run", self, at_least)
