"""One training step, up to its loss: deform, detect once, travel the routes, compare."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lmkit.engine.assemble import Assembly, blame
from lmkit.engine.routes import travel
from lmkit.geometry.warps import Warp
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import View
from lmkit.interfaces.step import Step
from lmkit.seeds import derive


def run_step(
    assembly: Assembly,
    images: Tensor,
    subjects: Tensor | None,
    truth: Tensor | None = None,
    *,
    number: int,
    seed: int,
    rank: int,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Step:
    """Run one step up to its record.

    Both views go through the detector in one call; the auxiliary's landmarks are the original's,
    permuted, and cost nothing.

    Args:
        assembly: The components.
        images: (B, 3, H, W), uint8, on the device of the networks.
        subjects: (B,) who is on each picture, on the CPU; or none.
        truth: (B, P, 2), annotated points in [-1, 1] of the pictures, NaN where not known, on the
            device of the networks; or none.
        number: The step, from 0.
        seed: The run's seed.
        rank: Of this process.
        autocast: Makes the context in which the networks run.
    """
    pixels = images.float() / 255
    count = len(images)
    randomness = torch.Generator(pixels.device)
    randomness.manual_seed(derive(seed, number, rank, "deformation"))
    with blame(assembly.names["deformation"]):
        pair = assembly.deformation(pixels, randomness)
        for view in (pair.original, pair.deformed):
            if view.shape != pixels.shape:
                raise ValueError(
                    f"returned a view of shape {tuple(view.shape)} instead of {tuple(pixels.shape)}"
                )
    with blame(assembly.names["pairing"]):
        chosen = assembly.pairing.auxiliary(
            count,
            subjects,
            torch.Generator().manual_seed(derive(seed, number, rank, "auxiliary")),
        )
        _check_auxiliary(chosen, count, assembly)
    views: dict[View, Tensor] = {"original": pair.original, "deformed": pair.deformed}
    with autocast():
        with blame(assembly.names["detector"]):
            both = assembly.detector(torch.cat((pair.original, pair.deformed)))
            _check_landmarks(both, 2 * count, assembly.detector.landmarks)
        landmarks: dict[View, Landmarks] = {"original": both[:count], "deformed": both[count:]}
        if chosen is not None:
            chosen = chosen.to(pixels.device, non_blocking=True)
            landmarks["auxiliary"] = landmarks["original"][chosen]
            views["auxiliary"] = pair.original[chosen]
        stages: tuple[tuple[Tensor, ...], ...] = ()
        if assembly.generator is not None:
            with blame(assembly.names["generator"]):
                stages = travel(assembly.routes, views, landmarks, assembly.generator)
    warps: dict[View, Warp] = {"original": pair.original_warp, "deformed": pair.deformed_warp}
    known: dict[View, Tensor] = {}
    if truth is not None:
        known = {view: _shown(truth, warp) for view, warp in warps.items()}
        if chosen is not None:
            known["auxiliary"] = known["original"][chosen]
    return Step(number, views, landmarks, warps, assembly.routes, stages, known)


def weigh(
    assembly: Assembly, step: Step, autocast: Callable[[], AbstractContextManager[object]]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the losses, and each loss before its weight."""
    terms = {}
    for label, loss in assembly.losses.items():
        with autocast(), blame(assembly.names[f"loss.{label}"]):
            terms[label] = loss(step).float()
            if terms[label].shape != ():
                raise ValueError(f"returned shape {tuple(terms[label].shape)} instead of a scalar")
    weighted = [assembly.weights[label] * term for label, term in terms.items()]
    return torch.stack(weighted).sum(), terms


def _shown(points: Tensor, warp: Warp) -> Tensor:
    """Move annotated points to a view; NaN where it shows nothing of them.

    What lies beyond the picture's edge is not shown even where the warp brings its place into view:
    there, the edge is repeated.
    """
    moved = warp.map_points(points)
    seen = ((points.abs() <= 1) & (moved.abs() <= 1)).all(dim=-1, keepdim=True)
    return moved.where(seen, torch.nan)


def _check_auxiliary(chosen: Tensor | None, batch: int, assembly: Assembly) -> None:
    if chosen is None:
        if any("auxiliary" in route.stops for route in assembly.routes):
            raise ValueError("has routes through the auxiliary view, and chose no auxiliary")
    elif chosen.shape != (batch,) or chosen.is_floating_point():
        raise ValueError(
            f"chose auxiliaries of shape {tuple(chosen.shape)} and type {chosen.dtype} "
            f"instead of {batch} numbers of pictures"
        )


def _check_landmarks(landmarks: Landmarks, batch: int, count: int) -> None:
    shape, wanted = tuple(landmarks.points.shape), (batch, count, 2)
    if shape != wanted or landmarks.points.dtype != torch.float32:
        raise ValueError(
            f"returned points of shape {shape} and type {landmarks.points.dtype} "
            f"instead of {wanted} and torch.float32"
        )
