"""A critic of redrawn images: it descends its loss, and what it judges ascends it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lmkit.api import Component, Loss, Step, hookimpl


class _Reversed(torch.autograd.Function):
    """Hands images on, and their gradient with the other sign."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return images.view_as(images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


class Critic(Loss):
    """How badly a critic tells real images from redrawn ones; its own parameters learn to.

    Args:
        width: Channels of the critic's first layer.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.critic = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4, stride=2, padding=1),
        )

    def forward(self, step: Step) -> Tensor:
        """Return the critic's loss, for the generator with the sign reversed."""
        real = self.critic(step.targets)
        drawn = self.critic(_Reversed.apply(step.ends))  # type: ignore[no-untyped-call]
        step.log("critic/real", real.sigmoid().mean())
        step.log("critic/drawn", drawn.sigmoid().mean())
        return softplus(-real).float().mean() + softplus(drawn).float().mean()


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce it."""
    return [Component("loss", "critic", f"{__name__}:Critic", "real and redrawn images alike")]
