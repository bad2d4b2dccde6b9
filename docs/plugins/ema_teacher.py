"""A teacher: the detector's own moving average says where landmarks are, as in Mean Teacher."""

import torch
from torch import Tensor

from lmkit.api import Component, LiveNetwork, Loss, Step, follow, hookimpl


class Teacher(Loss):
    """Mean squared distance from the landmarks that the teacher finds on the same image.

    Args:
        decay: The share of its former self that the teacher keeps in each step.
    """

    needs_routes = False

    def __init__(self, *, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay

    def attach(self, detector: LiveNetwork, generator: LiveNetwork | None) -> None:
        """Make the teacher, which is saved with the run, so that a resumed one has it too."""
        self.teacher = detector.copy()

    def forward(self, step: Step) -> Tensor:
        """Move the teacher, and compare with what it finds."""
        assert step.detector is not None
        if self.training:
            follow(self.teacher, step.detector, 1 - self.decay if step.number else 1.0)
        with torch.no_grad():
            wanted = self.teacher(step.views["deformed"]).points
        apart = step.landmarks["deformed"].points - wanted
        step.log("teacher/distance", apart.norm(dim=2).mean())
        return apart.square().mean()


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce it."""
    return [Component("loss", "teacher", f"{__name__}:Teacher", "near to a moving average")]
