"""How the networks learn: the optimiser's settings and its learning rate over the steps.

A new schedule is an entry of [SCHEDULES][lmkit.settings.optimizer.SCHEDULES]: what
``optimizer.schedule`` accepts, and what a refusal proposes, are its names.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lmkit.errors import LmkitError
from lmkit.registry.values import convert
from lmkit.settings.sections import Effect, check_at_least, setting


@dataclass(frozen=True, slots=True)
class Schedule:
    """A course of the learning rate over the steps, apart from warm-up.

    Args:
        meaning: What it does, in the words of the documentation.
        factor: What the rate of a step, counted from 0, is multiplied with. It depends on the step
            and the settings alone, so that a run can be resumed to more steps and be the same run.
    """

    meaning: str
    factor: Callable[[int, "OptimizerSettings"], float]


def _step(step: int, settings: "OptimizerSettings") -> float:
    return settings.decay_factor ** (step // settings.decay_every)


def _cosine(step: int, settings: "OptimizerSettings") -> float:
    done = min(1.0, step / settings.decay_every)
    low = settings.decay_factor
    return low + (1 - low) * (1 + math.cos(math.pi * done)) / 2


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule("as it is", lambda step, settings: 1.0),
    "step": Schedule("times `decay_factor` every `decay_every` steps", _step),
    "cosine": Schedule("down to `decay_factor` over `decay_every` steps, constant after", _cosine),
}
"""The schedules by the names that ``optimizer.schedule`` takes."""

if TYPE_CHECKING:
    ScheduleName = str
else:
    # The choices are the table's; to a type checker they would have to be written out once more.
    ScheduleName = Literal[tuple(SCHEDULES)]


IN_STEPS = {"decay_every": 1, "warmup": 0}
"""The settings below that are counted in steps, and the least of each.

Where ``run.steps`` is set to another number than a recipe's, and they are not, they are
[scaled][lmkit.settings.layers.merge] in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSettings:
    """How one of the networks learns where it is not as all do.

    Args:
        learning_rate: In the place of the optimiser's, with the same course and rules; none for
            that.
        weight_decay: In the place of the optimiser's; none for that.
        frozen_until: The step at which it begins to learn; its weights stay as they are before.
    """

    learning_rate: float | None = setting(None, Effect.RESULT)
    weight_decay: float | None = setting(None, Effect.RESULT)
    frozen_until: int = setting(0, Effect.RESULT)


PARTS = ("detector", "generator", "losses")
"""The networks that have settings of their own, in ``optimizer.PART``."""


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
        schedule: The course of the rate over the steps: one of
            [SCHEDULES][lmkit.settings.optimizer.SCHEDULES].
        decay_every: See there. A recipe's is scaled with its steps, see
            [IN_STEPS][lmkit.settings.optimizer.IN_STEPS]; that of a run stays, so that it can be
            resumed to more steps and be the same run.
        decay_factor: See there.
        warmup: Steps over which the rate first rises from 0; scaled like ``decay_every``.
        detector: What the detector does otherwise; so of ``generator`` and ``losses``, which are
            the parameters that losses have themselves.
        generator: See there.
        losses: See there.
    """

    name: Literal["adam", "adamw"] = setting("adam", Effect.RESULT)
    learning_rate: float = setting(1e-3, Effect.RESULT)
    batch_rule: Literal["none", "linear", "sqrt"] = setting("none", Effect.RESULT)
    reference_batch: int = setting(32, Effect.RESULT)
    betas: tuple[float, float] = setting((0.0, 0.9), Effect.RESULT)
    weight_decay: float = setting(5e-4, Effect.RESULT)
    clip_norm: float | None = setting(1.0, Effect.RESULT)
    schedule: ScheduleName = setting("step", Effect.RESULT)
    decay_every: int = setting(75_000, Effect.RESULT)
    decay_factor: float = setting(0.1, Effect.RESULT)
    warmup: int = setting(0, Effect.RESULT)
    detector: PartSettings = setting(PartSettings(), Effect.RESULT)
    generator: PartSettings = setting(PartSettings(), Effect.RESULT)
    losses: PartSettings = setting(PartSettings(), Effect.RESULT)

    def __post_init__(self) -> None:
        at_least = {**IN_STEPS, "weight_decay": 0, "reference_batch": 1, "decay_factor": 0}
        check_at_least("optimizer", self, at_least)
        for name, example in (("learning_rate", "0.001"), ("clip_norm", "1")):
            value = getattr(self, name)
            # A negative norm would turn every gradient round, and the loss would rise.
            if value is not None and not value > 0:
                raise LmkitError(
                    f"optimizer.{name}={value} is not above 0.",
                    remedy=f"Give a positive number, such as {example}"
                    f"{', or none' if name == 'clip_norm' else ''}.",
                )
        for part in PARTS:
            _check_part(part, getattr(self, part))
        if not all(0 <= beta < 1 for beta in self.betas):
            raise LmkitError(
                f"optimizer.betas={','.join(map(str, self.betas))} are not both at least 0 and "
                "below 1: the means of gradients would grow without end.",
                remedy="Give two such numbers, as --set optimizer.betas=0.9,0.999.",
            )
        convert(self.schedule, ScheduleName, where="optimizer.schedule")


def _check_part(name: str, part: PartSettings) -> None:
    """Refuse what a network cannot learn by."""
    for key in ("weight_decay", "frozen_until"):
        value = getattr(part, key)
        if value is not None and value < 0:
            raise LmkitError(
                f"optimizer.{name}.{key}={value} is too small.", remedy="Give at least 0."
            )
    if part.learning_rate is not None and not part.learning_rate > 0:
        raise LmkitError(
            f"optimizer.{name}.learning_rate={part.learning_rate} is not above 0.",
            remedy="Give a positive number, or none for that of all; "
            f"optimizer.{name}.frozen_until keeps it as it is.",
        )


def rates(settings: OptimizerSettings, step: int) -> dict[str, float]:
    """Return the learning rates of a step as metrics: of all, and of networks with their own."""
    found = {"learning_rate": learning_rate(settings, step)}
    for part in PARTS:
        own = learning_rate(settings, step, part)
        if own != found["learning_rate"]:
            found[f"learning_rate/{part}"] = own
    return found


def weight_decay(settings: OptimizerSettings, part: str) -> float:
    """Return the weight decay of a network."""
    own: float | None = getattr(settings, part).weight_decay
    return settings.weight_decay if own is None else own


def learning_rate(settings: OptimizerSettings, step: int, part: str | None = None) -> float:
    """Return the learning rate of a step: a function of the step alone, not of the run's length.

    Args:
        settings: How the networks learn.
        step: Counted from 0.
        part: The network, which may have a rate of its own; if not given, that of all.
    """
    rate = settings.learning_rate
    if part is not None:
        own: PartSettings = getattr(settings, part)
        if step < own.frozen_until:
            return 0.0
        rate = rate if own.learning_rate is None else own.learning_rate
    if settings.warmup:
        rate *= min(1.0, (step + 1) / settings.warmup)
    return rate * SCHEDULES[settings.schedule].factor(step, settings)


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
    scaled: dict[str, Any] = {}
    for name in PARTS:
        part: PartSettings = getattr(settings, name)
        if part.learning_rate is not None:
            scaled[name] = replace(part, learning_rate=part.learning_rate * factor)
    return replace(settings, learning_rate=settings.learning_rate * factor, **scaled)
