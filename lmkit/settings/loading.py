"""How images become batches."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmkit.errors import LmkitError
from lmkit.settings.fields import Effect, check_at_least, setting

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
