"""What detectors promise."""

from typing import Any

import torch
from torch import Tensor

from lmkit.errors import LmkitError
from lmkit.export.graph import (
    BATCHES,
    TOLERANCE,
    build_graph,
    differences,
    expected,
    trace,
    try_images,
)
from lmkit.geometry.soft_argmax import mean_position, soft_argmax
from lmkit.interfaces.detector import HeatmapDetector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.registry.discovery import describe
from lmkit.testing.check import Skipped, expect, promise
from lmkit.testing.inputs import BATCH, arguments, difference, random_images, seeded
from lmkit.testing.network import in_half_precision
from lmkit.testing.subject import Subject

POINTS_CLOSE = 0.05
"""How far half precision may move a point, in half sides of the image."""


@promise(
    "points",
    "detector",
    remedy="Return lmkit.api.Landmarks with points (B, K, 2), (x, y) in [-1, 1], computed in "
    "float32; HeatmapDetector does that for you.",
)
def points(subject: Subject) -> None:
    """It returns K landmarks an image: points (B, K, 2) in [-1, 1], finite, in float32."""
    _check_landmarks(subject, subject.build().train()(*arguments(subject)), BATCH)
    with torch.no_grad():
        _check_landmarks(subject, subject.build().eval()(*arguments(subject)), BATCH)


@promise(
    "score maps",
    "detector",
    remedy="Return as score_maps what the points are read from, (B, K, h, w), or leave them out.",
)
def score_maps(subject: Subject) -> None:
    """Score maps, where it returns any, are what its points are read from."""
    detector = subject.build().eval()
    found = detector(arguments(subject)[0].requires_grad_())
    scores = found.score_maps
    if scores is None:
        return
    expect(scores.requires_grad, subject, "score maps that gradients pass through", "constants")
    batch, count = found.points.shape[:2]
    fits = scores.ndim == 4 and scores.shape[:2] == (batch, count)
    expect(fits, subject, f"score maps of shape ({batch}, {count}, h, w)", tuple(scores.shape))
    expect(bool(scores.isfinite().all()), subject, "finite score maps", "others")
    for k in range(count):
        (slope,) = torch.autograd.grad(
            found.points[:, k].sum(), scores, retain_graph=True, allow_unused=True
        )
        read = slope is not None and bool(slope[:, k].any())
        expect(read, subject, f"point {k} to be read from score map {k}", "no dependence")
    if isinstance(detector, HeatmapDetector):
        apart = (soft_argmax(scores, detector.beta) - found.points).abs().max().item()
        expect(
            apart < 1e-4, subject, "the soft-argmax of the score maps", f"points {apart:.3g} off"
        )


@promise(
    "fields",
    "detector",
    remedy="Return confidence as (B, K) in [0, 1], descriptors as (B, K, D), features as "
    "(B, C, h, w) and probability maps as (B, K, h, w), of which points are the means, or leave "
    "them out.",
)
def other_fields(subject: Subject) -> None:
    """All else that it returns, such as descriptors or probability maps, fits its points."""
    found: Landmarks = subject.build().eval()(*arguments(subject))
    batch, count = found.points.shape[:2]
    if found.confidence is not None:
        _shape(subject, "confidence", found.confidence, (batch, count))
        _range(subject, "confidence", found.confidence, 0, 1)
    if found.descriptors is not None:
        shape = (batch, count, found.descriptors.shape[-1])
        _shape(subject, "descriptors", found.descriptors, shape)
        expect(bool(found.descriptors.isfinite().all()), subject, "finite descriptors", "others")
    if found.features is not None:
        shape = (batch, *found.features.shape[-3:])
        _shape(subject, "features", found.features, shape)
        expect(found.features.ndim == 4, subject, "features (B, C, h, w)", str(shape))
        expect(bool(found.features.isfinite().all()), subject, "finite features", "others")
    if found.probability_maps is not None:
        maps = found.probability_maps
        _shape(subject, "probability maps", maps, (batch, count, *maps.shape[-2:]))
        _range(subject, "probability maps", maps, 0, 1)
        total = (maps.sum(dim=(2, 3)) - 1).abs().max().item()
        expect(total < 1e-3, subject, "probability maps that sum to 1", f"sums {total:.3g} off")
        apart = (mean_position(maps) - found.points).abs().max().item()
        wanted = "points that are the means of their probability maps"
        expect(apart < 1e-3, subject, wanted, f"points {apart:.3g} off")


@promise(
    "points train",
    "detector",
    remedy="Compute points with soft_argmax or another differentiable function of the network's "
    "output.",
)
def points_train(subject: Subject) -> None:
    """Gradients reach its parameters through the points alone."""
    detector = subject.build().train()
    found = detector(*arguments(subject)).points
    expect(found.requires_grad, subject, "points that gradients pass through", "constants")
    (found * torch.rand(found.shape, generator=seeded("points"))).sum().backward()
    moved = any(p.grad is not None and bool(p.grad.any()) for p in detector.parameters())
    expect(moved, subject, "gradients from the points", "0 for every parameter")


@promise("batch of one", "detector", remedy="Do not squeeze() away a batch of one.")
def detector_batch_of_one(subject: Subject) -> None:
    """It finds landmarks in a single image."""
    with torch.no_grad():
        _check_landmarks(subject, subject.build().eval()(*arguments(subject, 1)), 1)


@promise(
    "batch independence",
    "detector",
    remedy="In eval mode use running means, and no statistics over the batch.",
)
def detector_batch_independence(subject: Subject) -> None:
    """In eval mode an image's points do not depend on what is beside it in the batch."""
    detector, (images,) = subject.build().eval(), arguments(subject)
    order = torch.arange(len(images)).flip(0)
    with torch.no_grad():
        together = detector(images).points
        # Beside itself, since a batch of one is a promise of its own.
        alone = torch.cat([detector(image.expand(2, -1, -1, -1)).points[:1] for image in images])
        mixed = detector(images[order]).points[order]
    apart = max((together - alone).abs().max().item(), (together - mixed).abs().max().item())
    expect(apart < 1e-3, subject, "the same points in any company", f"points {apart:.3g} off")


@promise(
    "other sizes",
    "detector",
    remedy="Compute shapes from the input, or refuse a size with LmkitError or ValueError that "
    "says which sizes there can be.",
)
def other_sizes(subject: Subject) -> None:
    """Images of another size or shape are worked on or clearly refused."""
    detector, size = subject.build().eval(), subject.image_size
    for height, width in ((size + size // 2, size + size // 2), (size, 2 * size), (size - 3, size)):
        images = random_images(2, height, width)
        try:
            with torch.no_grad():
                found = detector(images)
        except (LmkitError, ValueError):
            continue
        except Exception as error:
            expect(
                False,
                subject,
                f"images of {height} x {width} to be worked on, or refused with ValueError",
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            )
        _check_landmarks(subject, found, 2)


@promise(
    "bf16",
    "detector",
    remedy="Compute points in float32, outside of autocast, from score maps made float(); "
    "soft_argmax does so.",
)
def detector_bf16(subject: Subject) -> None:
    """Under bfloat16 autocast points are float32, and where they are without it."""
    full, half = in_half_precision(subject)
    _check_landmarks(subject, half, len(full.points))
    apart = difference({"points": full.points}, {"points": half.points})["points"]
    expect(
        apart <= POINTS_CLOSE,
        subject,
        f"points within {POINTS_CLOSE} of float32's",
        f"points {apart:.3g} off",
    )


@promise(
    "exports",
    "detector",
    remedy="Write forward without Python values of tensors (item(), int(), if) and without the "
    "batch's size as a constant; lmkit export writes what torch.export traces.",
)
def exports(subject: Subject) -> None:
    """It is traced by torch.export as one graph, which finds the same in batches of any size."""
    graph = build_graph(subject.build().eval(), subject.image_size)
    with torch.no_grad():
        graph(try_images(2, subject.image_size))
    try:
        module = trace(graph).module()
    except Exception as error:
        if reason := _cannot_trace():
            raise Skipped(reason) from error
        expect(False, subject, "a graph of torch.export", describe(error)[:300])
    allowed = TOLERANCE
    for count in BATCHES:
        images = try_images(count, subject.image_size)
        wanted = expected(graph, images)
        apart = differences(list(wanted), module(images), wanted)["points"]
        expect(
            apart <= allowed,
            subject,
            f"a graph whose points are within {allowed} pixels of the detector's",
            f"points {apart:.3g} pixels off in a batch of {count}",
        )


def _cannot_trace() -> str | None:
    """Return why torch.export traces nothing here; None if it does."""
    try:
        torch.export.export(torch.nn.ReLU(), (torch.zeros(1),), strict=False)
    except Exception as error:
        return f"torch.export of torch {torch.__version__} works not here: {describe(error)[:200]}"
    return None


def _check_landmarks(subject: Subject, found: Any, batch: int) -> None:
    kind = isinstance(found, Landmarks)
    expect(kind, subject, "lmkit.api.Landmarks", f"a {type(found).__name__}")
    _shape(subject, "points", found.points, (batch, subject.landmarks, 2))
    is_float = found.points.dtype == torch.float32
    expect(is_float, subject, "points in torch.float32", found.points.dtype)
    _range(subject, "points", found.points, -1, 1)


def _shape(subject: Subject, what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    came = tuple(tensor.shape)
    expect(came == shape, subject, f"{what} of shape {shape}", f"shape {came}")


def _range(subject: Subject, what: str, tensor: Tensor, low: float, high: float) -> None:
    expect(bool(tensor.isfinite().all()), subject, f"finite {what}", "others")
    least, most = tensor.min().item(), tensor.max().item()
    inside = low - 1e-4 <= least and most <= high + 1e-4
    expect(inside, subject, f"{what} in [{low}, {high}]", f"{least:.4g} to {most:.4g}")
