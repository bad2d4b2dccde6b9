"""The loss: reads the record of one step and returns how bad it is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from lmkit.interfaces.live import LiveNetwork
from lmkit.interfaces.step import Step


class Loss(nn.Module, ABC):
    """One term of the training objective; its weight belongs to the run's settings.

    A loss may have parameters and buffers of its own: they train, move to the device and are saved
    with the run. Frozen networks of others are made part of the code with
    [freeze][lmkit.api.freeze], so that checkpoints stay small.
    """

    component_kind: ClassVar[str] = "loss"
    """What an option of this type takes: a component of this kind."""

    needs_routes: ClassVar[bool] = True
    """Whether the loss reads the ends of routes; then a generator and a route are needed."""
    needs_warps: ClassVar[bool] = False
    """Whether the loss reads the warps, ``step.warps``; then both views have to be of one image,
    which they are not in a run that pairs two images of a subject."""
    needs_truth: ClassVar[bool] = False
    """Whether the loss reads the annotated points, ``step.truth``. Where no loss of a run does, its
    training looks at no annotated point."""

    def attach(self, detector: LiveNetwork, generator: LiveNetwork | None) -> None:
        """Make what depends on the run's networks, such as a copy that follows the detector.

        Called once when a run's components are built, before weights are read: the copy's values
        are those of the first step only if they are taken there, at ``step.number == 0``.

        Args:
            detector: The run's detector.
            generator: Its generator; None where it has none.
        """

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """Return the loss of one step, a float32 scalar."""
