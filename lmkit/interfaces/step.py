"""The record of one training step: what losses, images and plugins read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lmkit.geometry.warps import Warp
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.live import LiveNetwork
from lmkit.interfaces.pairing import Route, View


class Absent(dict[View, Any]):
    """What a step has nothing of, and what to do about it.

    Args:
        reason: Why it is empty.
    """

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def __missing__(self, view: View) -> Any:
        """Say why it is not there."""
        raise KeyError(self.reason)


_NAME = re.compile(r"\w+([./-]\w+)*")
NO_TRUTH = "step.truth is empty: a loss that reads it says needs_truth = True"
NO_WARPS = "step.warps is empty: a loss that reads it says needs_warps = True"


@dataclass(frozen=True)
class Step:
    """Everything that happened in one step, before any loss.

    Args:
        number: The step, counted from 0.
        views: The images of each view, (B, 3, H, W), RGB in [0, 1].
        landmarks: The landmarks found in each view; found once and shared by all routes.
        warps: From the loaded images to each view. Empty where the two views are of two images;
            a loss that reads them [says so][lmkit.api.Loss.needs_warps].
        routes: The routes travelled.
        stages: For every route, the image after each hop, each (B, 3, H, W); the last is the end.
        truth: The annotated points as they are in each view, (B, P, 2), (x, y) in [-1, 1], float32;
            NaN where a point is not known or the view does not show it. Empty unless a loss
            [needs it][lmkit.api.Loss.needs_truth].
        extras: For every route and hop, what the generator returned beside the image, by name.
        detector: The detector as it is at this step, to be called on other images.
        generator: The generator likewise; none where a run has none.
        logged: What losses have logged so far.
    """

    number: int
    views: Mapping[View, Tensor]
    landmarks: Mapping[View, Landmarks]
    warps: Mapping[View, Warp]
    routes: tuple[Route, ...]
    stages: tuple[tuple[Tensor, ...], ...]
    truth: Mapping[View, Tensor] = field(default_factory=lambda: Absent(NO_TRUTH))
    extras: tuple[tuple[Mapping[str, Tensor], ...], ...] = ()
    detector: LiveNetwork | None = None
    generator: LiveNetwork | None = None
    logged: dict[str, Tensor] = field(default_factory=dict)

    def log(self, name: str, value: Tensor | float) -> None:
        """Report a number beside the loss; it becomes the metric ``log/NAME``, averaged over steps.

        Nothing waits for the device: a tensor stays where it is until metrics are read.

        Args:
            name: Letters, digits, and ``_ - . /`` between them.
            value: A scalar.

        Raises:
            TypeError: If the name is no text.
            ValueError: If it is no such name, or the value is no scalar.
        """
        if not isinstance(name, str):
            raise TypeError(f"log() was given the name {name!r} instead of text")
        if not _NAME.fullmatch(name):
            raise ValueError(f"log() was given the name {name!r} instead of a word such as spread")
        device = next(iter(self.views.values())).device
        number = torch.as_tensor(value, device=device).detach().float()
        if number.shape != ():
            raise ValueError(f"log() was given shape {tuple(number.shape)} instead of a scalar")
        self.logged[name] = number

    @cached_property
    def ends(self) -> Tensor:
        """The reconstructions, all routes one after the other, (R * B, 3, H, W), float32."""
        return torch.cat([stages[-1] for stages in self.stages]).float()

    @cached_property
    def targets(self) -> Tensor:
        """The real images that the ends are compared with, (R * B, 3, H, W), float32."""
        return torch.cat([self.views[route.target] for route in self.routes]).float()
