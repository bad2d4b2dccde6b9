"""How the networks learn: the optimiser's settings and its learning rate over the steps."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from lmkit.errors import LmkitError
from lmkit.settings.checks import check_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """How the networks learn.

    Args:
        name: The algorithm.
        learning_rate: At its highest, for batches of ``reference_batch`` where ``batch_rule`` is
            not ``none``.
        batch_rule: What the rate is multiplied with: ``linear``, ``run.batch_size`` divided by
            ``reference_batch``; ``sqrt``, the root of that; ``none``, nothing.
        reference_batch: See ``batch_rule``.
        betas: Decay rates of the running means of gradient and squared gradient.
        weight_decay: Added to the gradient by ``adam``, apart from it by ``adamw``.
        clip_norm: The gradient norm that each network is clipped to; none for no clipping.
        schedule: ``constant``; ``step``: times ``decay_factor`` every ``decay_every`` steps;
            ``cosine``: down to ``decay_factor`` over ``decay_every`` steps, constant after.
        decay_every: See ``schedule``. It does not depend on ``run.steps``, so that a run can be
            resumed to more steps and be the same run.
        decay_factor: See ``schedule``.
        warmup: Steps over which the rate first rises from 0.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    batch_rule: Literal["none", "linear", "sqrt"] = "none"
    reference_batch: int = 32
    betas: tuple[float, float] = (0.0, 0.9)
    weight_decay: float = 5e-4
    clip_norm: float | None = 1.0
    schedule: Literal["constant", "step", "cosine"] = "step"
    decay_every: int = 75_000
    decay_factor: float = 0.1
    warmup: int = 0

    def __post_init__(self) -> None:
        at_least = {"decay_every": 1, "warmup": 0, "weight_decay": 0, "reference_batch": 1}
        check_at_least("optimizer", self, at_least)
        if not self.learning_rate > 0:
            raise LmkitError(
                f"optimizer.learning_rate={self.learning_rate} is not above 0.",
                remedy="Give a positive number, such as 0.001.",
            )


def learning_rate(settings: OptimizerSettings, step: int) -> float:
    """Return the learning rate of a step: a function of the step alone, not of the run's length."""
    rate = settings.learning_rate
    if settings.warmup:
        rate *= min(1.0, (step + 1) / settings.warmup)
    if settings.schedule == "step":
        rate *= settings.decay_factor ** (step // settings.decay_every)
    elif settings.schedule == "cosine":
        done = min(1.0, step / settings.decay_every)
        low = settings.decay_factor
        rate *= low + (1 - low) * (1 + math.cos(math.pi * done)) / 2
    return rate


def for_batch(settings: OptimizerSettings, batch_size: int) -> OptimizerSettings:
    """Return the settings with the learning rate that the rule for larger batches gives.

    The linear rule is that of Goyal et al. 2017 for stochastic gradient descent; the square root
    suits Adam (Malladi et al. 2022).

    Args:
        settings: With the rate for batches of ``reference_batch``.
        batch_size: Images a step, of all processes together.
    """
    exponent = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[settings.batch_rule]
    factor = (batch_size / settings.reference_batch) ** exponent
    return replace(settings, learning_rate=settings.learning_rate * factor)
