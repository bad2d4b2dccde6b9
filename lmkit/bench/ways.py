"""The two ways to take the training step, and how the parts of a step are watched."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lmkit.bench.plain import PlainUpdater, run_plain_step, weigh_plainly
from lmkit.data.loading import Batch
from lmkit.interfaces.deformation import Deformation, Views
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import Assembly, assemble
from lmkit.runtime.device import autocast_for, tuned
from lmkit.settings.settings import Settings
from lmkit.training.step import run_step, weigh
from lmkit.training.updater import Updater

Part = Callable[[str, Callable[[], Any]], Any]
"""Runs a part of a step under its name."""


def unwatched(_: str, work: Callable[[], Any]) -> Any:
    """Run a part of a step and nothing else."""
    return work()


class Way(ABC):
    """A way to take the training step.

    Args:
        settings: Of the run.
        registry: Where components are looked up.
        device: Where it computes.
    """

    updater: Updater | PlainUpdater

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        self.assembly = assemble(settings, registry)
        self.settings = settings
        self.device = device

    @abstractmethod
    def forward(
        self, batch: Batch, number: int, part: Part = unwatched, assembly: Assembly | None = None
    ) -> Tensor:
        """Return the loss of a step.

        Args:
            batch: Of images.
            number: The step.
            part: Runs the part called "losses".
            assembly: The way's own, with its components under watch; itself if not given.
        """

    def surroundings(self) -> AbstractContextManager[None]:
        """Return the context in which steps are taken."""
        return nullcontext()

    def step(self, batch: Batch, number: int) -> None:
        """Take a whole step."""
        with self.surroundings():
            loss = self.forward(batch, number)
            self.updater.backward(loss)
            self.updater.apply(loss, number)


class PlainWay(Way):
    """The step written the straightforward way."""

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        super().__init__(settings, registry, device)
        for _, network in self.assembly.networks():
            network.to(device)
        self.assembly.train()
        self.updater = PlainUpdater(self.assembly, settings.optimizer)

    def forward(
        self, batch: Batch, number: int, part: Part = unwatched, assembly: Assembly | None = None
    ) -> Tensor:
        """See [Way][lmkit.bench.ways.Way]."""
        assembly = assembly or self.assembly
        partners = batch.partners
        step = run_plain_step(
            assembly,
            batch.images.to(self.device),
            batch.subjects,
            None if partners is None else partners.to(self.device),
            number=number,
            seed=self.settings.run.seed,
        )
        loss: Tensor = part("losses", lambda: weigh_plainly(assembly, step))
        return loss


class FastWay(Way):
    """The step as training takes it."""

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        super().__init__(settings, registry, device)
        self.assembly.to(device)
        self.assembly.train()
        self.updater = Updater(self.assembly, settings.optimizer)
        self._autocast = autocast_for(device, settings.run.precision)

    def forward(
        self, batch: Batch, number: int, part: Part = unwatched, assembly: Assembly | None = None
    ) -> Tensor:
        """See [Way][lmkit.bench.ways.Way]."""
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
        """See [Way][lmkit.bench.ways.Way]."""
        return tuned(self.device)


def watched(assembly: Assembly, part: Part) -> Assembly:
    """Return an assembly whose components run as parts of a step."""
    parts: dict[str, Any] = {"deformation": _WatchedDeformation(assembly.deformation, part)}
    parts["detector"] = _Watched("detector", assembly.detector, part)
    if assembly.generator is not None:
        parts["generator"] = _Watched("generator", assembly.generator, part)
    return replace(assembly, **parts)


class _Watched:
    """Stands in for a network, and runs it as a part of the step."""

    def __init__(self, name: str, network: Any, part: Part) -> None:
        self._name = name
        self._network = network
        self._part = part

    def __call__(self, *given: Any) -> Any:
        return self._part(self._name, lambda: self._network(*given))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class _WatchedDeformation(Deformation):
    """Stands in for a deformation."""

    def __init__(self, deformation: Deformation, part: Part) -> None:
        self._deformation = deformation
        self._part = part

    def __call__(self, images: Tensor, generator: torch.Generator) -> Views:
        """Run it as a part of the step."""
        views: Views = self._part("deformation", lambda: self._deformation(images, generator))
        return views
