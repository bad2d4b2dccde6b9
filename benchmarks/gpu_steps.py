"""Training's own steps on a device, for tools that check or time them."""

from statistics import median

import torch
from torch import Tensor

from lmkit.bench.stopwatch import clock
from lmkit.data.loading import Batch
from lmkit.geometry.collapse import summary
from lmkit.geometry.warps import AffineWarp, Warp
from lmkit.interfaces.deformation import GeometricDeformation
from lmkit.registry.lookup import installed
from lmkit.runtime.assemble import assemble
from lmkit.runtime.device import autocast_for, tuned
from lmkit.runtime.operations import count_operations
from lmkit.settings.settings import Settings
from lmkit.training.compiling import compile_networks, forgiving
from lmkit.training.learner import Learned, Learner, Objective, Updater
from lmkit.training.meter import Meter
from lmkit.training.processes import ALONE


class LeftOutError(Exception):
    """Why something cannot be checked here."""


class Drawn(GeometricDeformation):
    """The same warps on every device: drawn on the CPU."""

    def __init__(self, inner: GeometricDeformation) -> None:
        self._inner = inner

    def warps(self, batch: int, generator: torch.Generator) -> tuple[Warp, Warp]:
        """See [GeometricDeformation][lmkit.api.GeometricDeformation]."""
        own = torch.Generator().manual_seed(generator.initial_seed())
        first, second = self._inner.warps(batch, own)
        assert isinstance(first, AffineWarp)
        assert isinstance(second, AffineWarp)
        device = generator.device
        return AffineWarp(first.matrix.to(device)), AffineWarp(second.matrix.to(device))


class Steps:
    """Training's own steps, of images that lie on the device.

    Args:
        settings: Of the run.
        device: Where it computes.
        drawn: Whether warps are drawn on the CPU.
    """

    def __init__(self, settings: Settings, device: torch.device, *, drawn: bool = False) -> None:
        run = settings.run
        self.device, self.mode, self.batch_size = device, run.compile, run.batch_size
        self.assembly = assemble(settings, installed())
        self.assembly.to(device)
        self.assembly.train()
        if drawn:
            assert isinstance(self.assembly.deformation, GeometricDeformation)
            self.assembly.deformation = Drawn(self.assembly.deformation)
        self.updater = Updater(self.assembly, settings.optimizer)
        self.objective = Objective(self.assembly, 0, autocast_for(device, run.precision))
        sizes = {"batch_size": run.batch_size, "accumulate": 1}
        self.learner = Learner(self.objective, self.updater, ALONE, **sizes)
        self.meter, self.done = Meter(device), 0
        for problem in compile_networks(self.assembly, run.compile, device):
            raise LeftOutError(problem)
        shape = (run.batch_size, 3, run.image_size, run.image_size)
        chance = torch.Generator().manual_seed(1)
        images = torch.randint(0, 255, shape, dtype=torch.uint8, generator=chance)
        self.batch = Batch(images.to(device))

    def learn(self) -> Learned:
        """Collect a step's gradient."""
        torch.manual_seed(self.done)
        return self.learner.learn(self.batch, self.done)

    def take(self, count: int) -> Tensor:
        """Take steps as training does; return the loss of the last one."""
        with tuned(self.device), forgiving(self.mode):
            for _ in range(count):
                learned = self.learn()
                norms, skipped = self.updater.apply(learned.loss, self.done)
                self.learner.undo(skipped)
                found = summary(learned.points)
                self.meter.add(learned.loss, learned.terms, norms, skipped, found)
                self.done += 1
        return learned.loss

    def gradient(self) -> Tensor:
        """Return all gradients, flat, on the CPU."""
        own = [p.grad for each in self.updater.networks.values() for p in each]
        return torch.cat([each.flatten().cpu().double() for each in own if each is not None])

    def seconds(self, warm_up: int, count: int) -> float:
        """Return the seconds of a step."""
        self.take(warm_up)
        times = [clock(self.device, lambda: self.take(count)) for _ in range(3)]
        return median(times) / count

    def operations(self) -> int:
        """Return the operations of a step, forward and backward."""
        return count_operations(self.learn)
