"""How well a run's generator redraws held-out images from their landmarks."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lmkit.interfaces.deformation import Deformation, Views
from lmkit.interfaces.generator import Generator, images_of
from lmkit.interfaces.landmarks import Landmarks
from lmkit.run.checkpoint import latest_checkpoint, load_network
from lmkit.run.fitting import build_to_fit
from lmkit.run.run import Run
from lmkit.runtime.assemble import build
from lmkit.runtime.blame import blame
from lmkit.runtime.device import autocast_for
from lmkit.seeds import derive


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How far redrawn images are from those they should show.

    Args:
        error: Root mean squared difference, in percent of the range of a pixel.
        undrawn: The same where the image that is redrawn is left as it is: what a generator has to
            undercut to have done anything.
    """

    error: float
    undrawn: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def measure_reconstruction(
    run: Run, squares: Tensor, *, seed: int, batch_size: int
) -> Reconstruction | None:
    """Redraw the deformed view of each image as its original view, by the landmarks of both.

    Args:
        run: The run.
        squares: (N, 3, S, S), uint8, images as the run's detector sees them.
        seed: Decides the deformations.
        batch_size: Images at a time; the deformations follow from it.

    Returns:
        None where the run has no generator, or what it takes to use it is not here.

    Raises:
        LmkitError: If a component breaks.
    """
    wanted = ("generator", "deformation")
    if run.settings.generator["name"] == "none" or run.missing(*wanted):
        return None
    settings = run.resolve("detector", *wanted)
    checkpoint = latest_checkpoint(run.folder)
    make = partial(build, "generator", settings.generator, settings, run.registry)
    generator: Generator = build_to_fit(checkpoint, "generator", make)
    deformation: Deformation = build("deformation", settings.deformation, settings, run.registry)
    load_network(checkpoint, "generator", generator, device=torch.device("cpu"))
    generator.to(run.device).eval()
    drawn, undrawn, count = 0.0, 0.0, 0
    autocast = autocast_for(run.device, settings.run.precision)
    for views in _views(deformation, squares, seed, batch_size):
        source, target = (_found(run, view) for view in (views.deformed, views.original))
        images = views.deformed.to(run.device)
        if generator.needs_images:
            source = replace(source, images=images)
            target = replace(target, images=views.original.to(run.device))
        with (
            torch.inference_mode(),
            autocast(),
            blame(f"generator '{settings.generator['name']}'", generator),
        ):
            redrawn = images_of(generator(images, source, target)).float().cpu()
        drawn += float((redrawn - views.original).square().sum())
        undrawn += float((views.deformed - views.original).square().sum())
        count += views.original.numel()
    return Reconstruction(*(100 * (each / count) ** 0.5 for each in (drawn, undrawn)))


def _views(
    deformation: Deformation, squares: Tensor, seed: int, batch_size: int
) -> Iterator[Views]:
    """Yield both views of every batch, on the CPU, in [0, 1]."""
    for number, batch in enumerate(squares.split(batch_size)):
        randomness = torch.Generator().manual_seed(derive(seed, "reconstruction", number))
        yield deformation(batch.float() / 255, randomness)


def _found(run: Run, view: Tensor) -> Landmarks:
    """Return the landmarks of a view, on the run's device."""
    found = run.predictor.detect((view.clamp(0, 1) * 255).round().to(torch.uint8))
    return _to(found, run.device)


def _to(found: Landmarks, device: torch.device) -> Landmarks:
    fields = {
        name: value.to(device)
        for name in found.__dataclass_fields__
        if (value := getattr(found, name)) is not None
    }
    return Landmarks(**fields)
