"""The sections run and loading, and what every field of a section says: what its change means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from lmkit.errors import LmkitError

T = TypeVar("T")


class Effect(Enum):
    """What it means when two runs, or a run and its resumption, differ in a setting.

    [changes][lmkit.settings.changes] says what follows from it: whether a resumed run may have
    another value, whether two values are two experiments, and so on.
    """

    NOTHING = "nothing"
    """What is shown, kept and passed on; training and results are the same."""
    SPEED = "speed"
    """How fast it goes, and how much memory it takes; results agree up to rounding."""
    RESULT = "result"
    """What is computed."""
    CHANCE = "chance"
    """Which of many equally good random draws is taken."""
    LENGTH = "length"
    """How long training goes on, and nothing of the steps before."""
    DATA = "data"
    """Which images train, fit and test."""
    PLACE = "place"
    """Where the data lies, which may be the same images or others."""
    TOLERANCE = "tolerance"
    """Which flaws of the data end a run; what is computed of the rest is the same."""


def setting(default: T, effect: Effect) -> T:
    """Define a field of a record of settings.

    Args:
        default: Its value where nothing is given.
        effect: What a change of it means.

    Returns:
        What [dataclasses.field][] returns; to a type checker, the default.
    """
    return field(default=default, metadata={"effect": effect})


def effects_of(cls: type) -> dict[str, Effect]:
    """Return what a change of each field of a record of settings means.

    Args:
        cls: A dataclass whose fields are all defined by [setting][lmkit.settings.sections.setting].

    Raises:
        TypeError: If a field does not say.
    """
    found: dict[str, Effect] = {}
    for each in fields(cls):
        effect = each.metadata.get("effect")
        if not isinstance(effect, Effect):
            raise TypeError(
                f"{cls.__name__}.{each.name} does not say what a change of it means. Write "
                f"{each.name}: TYPE = setting(DEFAULT, Effect.ONE), where ONE is one of "
                f"{', '.join(Effect.__members__)}; lmkit/settings/sections.py explains them."
            )
        found[each.name] = effect
    return found


def check_at_least(section: str, settings: Any, least: Mapping[str, float]) -> None:
    """Refuse settings that are too small.

    Args:
        section: Their section, for the message.
        settings: A record of settings.
        least: The least value of each that has one.

    Raises:
        LmkitError: If one is smaller.
    """
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in least and value < least[item.name]:
            raise LmkitError(
                f"{section}.{item.name}={value} is too small.",
                remedy=f"Give a number of at least {least[item.name]}.",
            )


MOST_WORKERS = 1024
"""The processes that read images, at most: a slip of the pen must not fill the machine."""

LARGEST_SIDE = 2**14
"""The pixels of the largest square that an image is made. One of that size takes 768 MiB, and what
reads a run's settings makes it whatever they say."""


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
        if self.image_size > LARGEST_SIDE:
            raise LmkitError(
                f"run.image_size={self.image_size} is too large.",
                remedy=f"Give a number of at most {LARGEST_SIDE}.",
            )


_STRETCHED = ("sanchez2019", "jakab2018")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingSettings:
    """How images become batches.

    Args:
        partner: What the deformed view is made of: the image itself, or another training image
            of its subject.
        crop: What is shown of an image: all of it, its central window, the box of its annotated
            points, or what a publication showed.
        crop_share: With ``crop`` ``centre``, the window's side as a share of the shorter side.
        crop_margin: With ``crop`` ``annotated-box``, what is added to each side of the box, as a
            share of its longer side.
        fit: How what is shown becomes square: its central square, or all of it padded or stretched.
        held_out: Share of the subjects (or images) kept for testing where the data does not say.
        split_seed: Decides which; apart from ``run.seed``, so that runs with different seeds test
            on the same images.
        max_unreadable: Share of images that may be unreadable before the run stops.
        workers: Processes that read images; none chooses by the number of cores.
        cache: Where images lie that were read once: a folder; ``auto`` for the user's, where it
            pays; ``none`` for nowhere.
        resident: Whether the images that train are kept on the device; ``auto`` does on a GPU,
            where they take at most a quarter of its free memory and it pays.
    """

    partner: Literal["none", "subject"] = setting("none", Effect.RESULT)
    crop: Literal["none", "centre", "annotated-box", "sanchez2019", "jakab2018", "dve2019"] = (
        setting("none", Effect.RESULT)
    )
    crop_share: float = setting(0.8, Effect.RESULT)
    crop_margin: float = setting(0.5, Effect.RESULT)
    fit: Literal["crop", "pad", "stretch"] = setting("crop", Effect.RESULT)
    held_out: float = setting(0.1, Effect.DATA)
    split_seed: int = setting(0, Effect.DATA)
    max_unreadable: float = setting(0.05, Effect.TOLERANCE)
    workers: int | None = setting(None, Effect.SPEED)
    cache: str = setting("auto", Effect.SPEED)
    resident: Literal["auto", "always", "never"] = setting("auto", Effect.SPEED)

    def __post_init__(self) -> None:
        if self.cache not in ("auto", "none"):
            # A run is opened from anywhere.
            place = str(Path(self.cache).expanduser().absolute())
            object.__setattr__(self, "cache", place)
        for name in ("held_out", "max_unreadable"):
            if not 0 <= getattr(self, name) < 1:
                raise LmkitError(
                    f"loading.{name}={getattr(self, name)} is not a share.",
                    remedy="Give a number of at least 0 and below 1.",
                )
        if self.workers is not None:
            check_at_least("loading", self, {"workers": 0})
            if self.workers > MOST_WORKERS:
                raise LmkitError(
                    f"loading.workers={self.workers} is more processes than {MOST_WORKERS:,}.",
                    remedy="Give as many as there are cores, or leave it out.",
                )
        if not 0 < self.crop_share <= 1:
            raise LmkitError(
                f"loading.crop_share={self.crop_share} is not a share of a side.",
                remedy="Give a number above 0 and up to 1.",
            )
        if not 0 <= self.crop_margin < math.inf:
            raise LmkitError(
                f"loading.crop_margin={self.crop_margin} is not a margin.",
                remedy="Give a number of at least 0, such as 0.5.",
            )
        if self.crop in _STRETCHED and self.fit != "stretch":
            raise LmkitError(
                f"loading.crop={self.crop} shows a rectangle that its authors stretched to the "
                f"square, and loading.fit={self.fit} would not.",
                remedy="Add --set loading.fit=stretch.",
            )
