"""One training step written the straightforward way: what lmkit's own step is measured against.

It is the method as one would first write it down, and as released code computes it: float32, eager,
channels first, one detector call for each role that an image plays, one generator call for each
hop of each route, frozen networks run whole and with their own gradients, an unfused optimiser
that looks at every gradient norm. lmkit's step computes the same, and tests compare loss and
gradients of both.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import pairwise

import torch
from plain_losses import plain_loss
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lmkit.bench.stepper import Stepper, Watch, unwatched
from lmkit.data.loading import Batch
from lmkit.geometry.warps import Warp
from lmkit.interfaces.deformation import Views
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import View
from lmkit.interfaces.step import Step
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import Assembly, assemble
from lmkit.seeds import derive
from lmkit.settings.optimizer import OptimizerSettings, learning_rate
from lmkit.settings.settings import Settings


class PlainStepper(Stepper):
    """Takes the step in the straightforward way.

    Args:
        settings: Of the run; precision and compilation do not count.
        registry: Where components are looked up.
        device: Where it computes.
    """

    def __init__(self, settings: Settings, registry: Registry, device: torch.device) -> None:
        # Not the constructor of Stepper, which prepares everything for the fast way.
        self.assembly = assemble(settings, registry)
        self.settings = settings
        self.device = device
        for _, network in self.assembly.networks():
            network.to(device)
        self.assembly.train()
        self.updater = PlainUpdater(self.assembly, settings.optimizer)

    def compile(self) -> None:
        """Leave the networks as they are."""

    def forward(
        self, batch: Batch, number: int, part: Watch = unwatched, assembly: Assembly | None = None
    ) -> Tensor:
        """See [Stepper][lmkit.bench.stepper.Stepper]."""
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

    def surroundings(self) -> AbstractContextManager[None]:
        """Take steps in no context of their own."""
        return nullcontext()


def run_plain_step(
    assembly: Assembly,
    images: Tensor,
    subjects: Tensor | None,
    partners: Tensor | None = None,
    *,
    number: int,
    seed: int,
) -> Step:
    """Run one step up to its record, with the random draws of lmkit's own.

    Args:
        assembly: The components.
        images: (B, 3, H, W), uint8, on the device of the networks.
        subjects: (B,) who is on each image, on the CPU; None if there is none.
        partners: As ``images``, the images that deformed views are made of; None if
            they are made of ``images``.
        number: The step, from 0.
        seed: The run's seed.
    """
    draws = derive(seed, number, 0, "deformation")
    pair = _deform(assembly, images, draws)
    if partners is not None:
        other = _deform(assembly, partners, draws)
        pair = Views(pair.original, other.deformed, pair.original_warp, other.deformed_warp)
    views: dict[View, Tensor] = {"original": pair.original, "deformed": pair.deformed}
    generator = torch.Generator().manual_seed(derive(seed, number, 0, "auxiliary"))
    chosen = assembly.pairing.auxiliary(len(images), subjects, generator)
    if chosen is not None:
        views["auxiliary"] = pair.original[chosen.to(images.device)]
    landmarks: dict[View, Landmarks] = {
        view: assembly.detector(shown) for view, shown in views.items()
    }
    guides = landmarks
    if assembly.generator is not None and assembly.generator.needs_images:
        guides = {view: replace(own, images=views[view]) for view, own in landmarks.items()}
    stages = tuple(
        _travel(assembly, route.stops, views[route.source], guides) for route in assembly.routes
    )
    warps: dict[View, Warp] = {}
    if partners is None:
        warps = {"original": pair.original_warp, "deformed": pair.deformed_warp}
    return Step(number, views, landmarks, warps, assembly.routes, stages)


def _deform(assembly: Assembly, images: Tensor, draws: int) -> Views:
    randomness = torch.Generator(images.device).manual_seed(draws)
    return assembly.deformation(images.float() / 255, randomness)


def _travel(
    assembly: Assembly,
    stops: tuple[View, ...],
    image: Tensor,
    landmarks: Mapping[View, Landmarks],
) -> tuple[Tensor, ...]:
    assert assembly.generator is not None
    stages = []
    for before, after in pairwise(stops):
        image = assembly.generator(image, landmarks[before], landmarks[after])
        stages.append(image)
    return tuple(stages)


def weigh_plainly(assembly: Assembly, step: Step) -> Tensor:
    """Return the weighted sum of the losses."""
    terms = [
        assembly.weights[label] * plain_loss(loss, step) for label, loss in assembly.losses.items()
    ]
    return torch.stack(terms).sum()


class PlainUpdater:
    """Updates the networks with an optimiser as it comes, one parameter after the other.

    Args:
        assembly: The networks, already where they train.
        settings: How they learn.
    """

    def __init__(self, assembly: Assembly, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.networks = [
            [p for p in network.parameters() if p.requires_grad]
            for _, network in assembly.networks()
        ]
        algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        self.optimizer: torch.optim.Optimizer = algorithm(
            [p for parameters in self.networks for p in parameters],
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            foreach=False,
        )

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to what the parameters have collected."""
        loss.backward()

    def apply(self, loss: Tensor, step: int) -> None:
        """Take one optimiser step, if loss and gradients are finite."""
        limit = self.settings.clip_norm
        finite = bool(loss.isfinite())
        for parameters in self.networks:
            if parameters and limit is not None:
                finite &= bool(clip_grad_norm_(parameters, limit, foreach=False).isfinite())
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step)
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad()
