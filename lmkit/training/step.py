"""One training step, up to its loss: deform, detect once, travel the routes, compare."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lmkit.data.loading import Batch
from lmkit.geometry.warps import Warp
from lmkit.interfaces.deformation import Views
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.live import LiveNetwork
from lmkit.interfaces.pairing import View
from lmkit.interfaces.step import NO_TRUTH, NO_WARPS, Absent, Step
from lmkit.runtime.assemble import Assembly
from lmkit.runtime.blame import blame
from lmkit.runtime.returned import check_auxiliary, check_landmarks, check_loss
from lmkit.seeds import derive
from lmkit.settings.weight import weight_at
from lmkit.training.parts import BatchPart, deform, join_landmarks
from lmkit.training.routes import Travelled, travel


def run_step(
    assembly: Assembly,
    batch: Batch,
    *,
    number: int,
    seed: int,
    autocast: Callable[[], AbstractContextManager[object]],
    part: BatchPart | None = None,
) -> Step:
    """Run one step, or a part of it, up to its record.

    All views go through the detector in one call; the auxiliary's landmarks are the original's,
    permuted, and cost nothing, unless they are in a part that is computed at another time.

    Args:
        assembly: The components.
        batch: The whole batch, its images and points on the device of the networks. The deformed
            views are made of the partners, where there are any, and of the images themselves
            where not.
        number: The step, from 0.
        seed: The run's seed.
        autocast: Makes the context in which the networks run.
        part: Which images the record is to be of; all if not given.
    """
    images, partners, truth = batch.images, batch.partners, batch.points
    # Reading values makes the host wait for the device: once a run is worth it.
    first = number == 0
    # Drawn for the whole batch, whoever computes it: the 0 would be the number of a process.
    draws = derive(seed, number, 0, "deformation")
    with blame(assembly.names["deformation"], assembly.deformation):
        deformed = deform(assembly.deformation, images, draws, part, values=first)
        pair, original_warp, original = deformed
        if partners is not None:
            # By the same draws, so that who is their own partner gets the pair they would have.
            other = deform(assembly.deformation, partners, draws, part).views
            pair = Views(pair.original, other.deformed, pair.original_warp, other.deformed_warp)
    with blame(assembly.names["pairing"], assembly.pairing):
        chosen = assembly.pairing.auxiliary(
            len(images),
            batch.subjects,
            torch.Generator().manual_seed(derive(seed, number, 0, "auxiliary")),
        )
        check_auxiliary(chosen, len(images), assembly.routes)
    views: dict[View, Tensor] = {"original": pair.original, "deformed": pair.deformed}
    again = chosen is not None and part is not None and part.join is None
    if chosen is not None:
        own = chosen if part is None else chosen[part.rows]
        chosen = own.to(images.device, non_blocking=True)
        views["auxiliary"] = original(chosen)
    count = len(pair.original)
    with autocast():
        with blame(assembly.names["detector"], assembly.detector):
            seen = [pair.original, pair.deformed, *([views["auxiliary"]] if again else [])]
            found = assembly.detector(torch.cat(seen))
            wanted = len(seen) * count, assembly.detector.landmarks
            check_landmarks(found, *wanted, values=first)
        landmarks: dict[View, Landmarks] = {
            "original": found[:count],
            "deformed": found[count : 2 * count],
        }
        if again:
            landmarks["auxiliary"] = found[2 * count :]
        elif chosen is not None:
            everybody = landmarks["original"]
            if part is not None and part.join is not None:
                everybody = join_landmarks(everybody, part.join)
            landmarks["auxiliary"] = everybody[chosen]
        travelled = Travelled((), ())
        if assembly.generator is not None:
            with blame(assembly.names["generator"], assembly.generator):
                travelled = travel(
                    assembly.routes, views, landmarks, assembly.generator, values=first
                )
    warps: dict[View, Warp] = Absent(NO_WARPS)
    if partners is None:
        warps = {"original": pair.original_warp, "deformed": pair.deformed_warp}
    known: dict[View, Tensor] = Absent(NO_TRUTH)
    if truth is not None:
        moved = truth if batch.partner_points is None else batch.partner_points
        rows = slice(None) if part is None else part.rows
        known["original"] = _shown(truth[rows], pair.original_warp)
        known["deformed"] = _shown(moved[rows], pair.deformed_warp)
        if chosen is not None:
            known["auxiliary"] = _shown(truth, original_warp)[chosen]
    generator = assembly.generator
    return Step(
        number,
        views,
        landmarks,
        warps,
        assembly.routes,
        travelled.stages,
        known,
        travelled.extras,
        LiveNetwork(assembly.detector),
        None if generator is None else LiveNetwork(generator),
    )


def weigh(
    assembly: Assembly, step: Step, autocast: Callable[[], AbstractContextManager[object]]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the losses, and each loss before its weight."""
    terms = {}
    for label, loss in assembly.losses.items():
        with autocast(), blame(assembly.names[f"loss.{label}"], loss):
            terms[label] = check_loss(loss(step))
    weighted = [
        weight_at(assembly.weights[label], step.number) * term for label, term in terms.items()
    ]
    return torch.stack(weighted).sum(), terms


def _shown(points: Tensor, warp: Warp) -> Tensor:
    """Move annotated points to a view; NaN where it shows nothing of them.

    What lies beyond the image's edge is not shown even where the warp brings its place into view:
    there, the edge is repeated.
    """
    moved = warp.map_points(points)
    seen = ((points.abs() <= 1) & (moved.abs() <= 1)).all(dim=-1, keepdim=True)
    return moved.where(seen, torch.nan)
