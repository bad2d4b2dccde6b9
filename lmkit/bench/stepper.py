"""The training step as training takes it, whole or in parts that are watched."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lmkit.data.loading import Batch
from lmkit.errors import LmkitError
from lmkit.interfaces.deformation import Deformation, Views
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import Assembly, assemble
from lmkit.runtime.device import autocast_for, tuned
from lmkit.settings.settings import Settings
from lmkit.training.compiling import compile_networks
from lmkit.training.learner import Updater
from lmkit.training.step import run_step, weigh

Watch = Callable[[str, Callable[[], Any]], Any]
"""Runs a part of a step under its name."""


def unwatched(_: str, work: Callable[[], Any]) -> Any:
    """Run a part of a step and nothing else."""
    return work()


class Stepper:
    """Takes the training step.

    Args:
        settings: Of the run.
        registry: Where components are looked up.
        device: Where it computes.
    """

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        self.assembly = assemble(settings, registry)
        self.settings = settings
        self.device = device
        self.assembly.to(device)
        self.assembly.train()
        self.updater = Updater(self.assembly, settings.optimizer)
        self._autocast = autocast_for(device, settings.run.precision)

    def compile(self) -> None:
        """Compile the networks, if the settings say so.

        Raises:
            LmkitError: If that is not possible here.
        """
        for problem in compile_networks(self.assembly, self.settings.run.compile, self.device):
            raise LmkitError(problem, remedy="Measure without: --set run.compile=none.")

    def forward(
        self, batch: Batch, number: int, part: Watch = unwatched, assembly: Assembly | None = None
    ) -> Tensor:
        """Return the loss of a step.

        Args:
            batch: Of images.
            number: The step.
            part: Runs the part called "losses".
            assembly: The stepper's own, with its components under watch; itself if None.
        """
        assembly = assembly or self.assembly
        step = run_step(
            assembly,
            batch.to(self.device),
            number=number,
            seed=self.settings.run.seed,
            autocast=self._autocast,
        )
        loss: Tensor = part("losses", lambda: weigh(assembly, step, self._autocast)[0])
        return loss

    def surroundings(self) -> AbstractContextManager[None]:
        """Return the context in which steps are taken."""
        return tuned(self.device)

    def step(self, batch: Batch, number: int) -> None:
        """Take a whole step."""
        with self.surroundings():
            loss = self.forward(batch, number)
            self.updater.backward(loss)
            self.updater.apply(loss, number)


def watched(assembly: Assembly, part: Watch) -> Assembly:
    """Return an assembly whose components run as parts of a step."""
    parts: dict[str, Any] = {"deformation": _WatchedDeformation(assembly.deformation, part)}
    parts["detector"] = _Watched("detector", assembly.detector, part)
    if assembly.generator is not None:
        parts["generator"] = _Watched("generator", assembly.generator, part)
    return replace(assembly, **parts)


class _Watched:
    """Stands in for a network, and runs it as a part of the step."""

    def __init__(self, name: str, network: Any, part: Watch) -> None:
        self._name = name
        self._network = network
        self._part = part

    def __call__(self, *given: Any) -> Any:
        return self._part(self._name, lambda: self._network(*given))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class _WatchedDeformation(Deformation):
    """Stands in for a deformation."""

    def __init__(self, deformation: Deformation, part: Watch) -> None:
        self._deformation = deformation
        self._part = part

    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """Run it as a part of the step."""
        views: Views = self._part("deformation", lambda: self._deformation(images, generator))
        return views
