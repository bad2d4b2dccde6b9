"""A detector of another run as a teacher: it stays as it is, and is saved with the run."""

import torch
from torch import Tensor

from lmkit.api import Component, Detector, LmkitError, Loss, Step, hookimpl


class Distil(Loss):
    """Mean squared distance from the landmarks that the teacher finds on the same images.

    Args:
        teacher: The detector, ``run:FOLDER`` for that of a run, which then never trains.
    """

    needs_routes = False

    def __init__(self, *, teacher: Detector) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, step: Step) -> Tensor:
        """Compare with what the teacher finds."""
        with torch.no_grad():
            wanted = self.teacher(step.views["deformed"]).points
        found = step.landmarks["deformed"].points
        if found.shape != wanted.shape:
            raise LmkitError(
                f"The teacher finds {wanted.shape[1]} landmarks, and the detector "
                f"{found.shape[1]}.",
                remedy=f"Train with --landmarks {wanted.shape[1]}.",
            )
        return (found - wanted).square().mean()


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce it."""
    return [Component("loss", "distil", f"{__name__}:Distil", "near to another run's detector")]
