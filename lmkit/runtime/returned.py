"""What components return, held against their contracts: in every step, and by the kit.

Shapes and types are looked at in every step, which costs nothing. Values are on the device, and
reading them waits for it: that is done in the first step of a run alone, ``values=True``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from lmkit.geometry.warps import Warp
from lmkit.interfaces.deformation import Views
from lmkit.interfaces.generator import Redrawn
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import VIEWS, Route
from lmkit.runtime.blame import expect, in_words

FARTHEST = 1.5
"""How far from the centre points may be at first, in half sides of the image, unlike pixels."""
SPILL = 0.01
"""How far beyond [0, 1] colours may be at first."""


def check_routes(routes: Any) -> tuple[Route, ...]:
    """Return the routes that a pairing has returned.

    Raises:
        TypeError: If they are something else.
        ValueError: If one is named twice, or goes over a view that there is not.
    """
    if not isinstance(routes, (tuple, list)):
        raise TypeError(f"routes() returned {in_words(routes)} instead of lmkit.api.Routes")
    if isinstance(routes, Route):
        raise TypeError("routes() returned one lmkit.api.Route instead of a tuple of them")
    for route in routes:
        expect(route, Route, "a tuple of lmkit.api.Route", "routes")
        if not isinstance(route.via, tuple):
            raise TypeError(
                f"routes() returned a route whose via is {in_words(route.via)} instead of a tuple "
                "of views"
            )
        unknown = [stop for stop in route.stops if stop not in VIEWS]
        if unknown:
            raise ValueError(
                f"routes() returned {' -> '.join(map(str, route.stops))}, and {unknown[0]!r} is "
                f"none of the views {', '.join(VIEWS)}"
            )
        if routes.count(route) > 1:
            raise ValueError(f"routes() returned {route} twice")
    return tuple(routes)


def check_auxiliary(chosen: Any, batch: int, routes: Sequence[Route]) -> None:
    """Refuse auxiliaries that are not numbers of a batch's images.

    Args:
        chosen: What a pairing has chosen.
        batch: The number of images.
        routes: Its routes.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If it does not choose one image for each.
    """
    if chosen is None:
        if any("auxiliary" in route.stops for route in routes):
            raise ValueError("has routes through the auxiliary view, and chose no auxiliary")
        return
    expect(chosen, Tensor, "a Tensor of the numbers of images, or None", "auxiliary")
    if chosen.shape != (batch,) or chosen.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"auxiliary() chose numbers of shape {tuple(chosen.shape)} and type {chosen.dtype} "
            f"instead of {batch} numbers of images, ({batch},) and torch.int64"
        )
    # On the CPU, where looking costs nothing.
    if chosen.device.type == "cpu" and not (0 <= int(chosen.min()) <= int(chosen.max()) < batch):
        raise ValueError(
            f"auxiliary() chose the images {chosen.tolist()[:8]}, and there are {batch}, counted "
            "from 0"
        )


def check_views(pair: Any, images: Tensor, *, values: bool) -> None:
    """Refuse what are no two views of images.

    Args:
        pair: What a deformation has returned.
        images: What it was given, (B, 3, H, W).
        values: Whether colours are looked at too.

    Raises:
        TypeError: If it is something else.
        ValueError: If a view is of another size, type or range.
    """
    expect(pair, Views, "lmkit.api.Views")
    for name in ("original", "deformed"):
        view, warp = getattr(pair, name), getattr(pair, f"{name}_warp")
        expect(view, Tensor, f"a Tensor as the {name} view")
        if view.shape != images.shape:
            raise ValueError(
                f"returned a view of shape {tuple(view.shape)} instead of {tuple(images.shape)}"
            )
        if view.dtype != torch.float32:
            raise ValueError(f"returned a view of type {view.dtype} instead of torch.float32")
        if values:
            _check_colours(view, "a view with")
        expect(warp, Warp, f"a lmkit.api.Warp to the {name} view")
        if warp.batch != len(images):
            raise ValueError(
                f"returned a warp for {warp.batch} images instead of {len(images)}, to the {name} "
                "view"
            )


def check_landmarks(found: Any, batch: int, count: int, *, values: bool) -> None:
    """Refuse what are no K landmarks of each image.

    Args:
        found: What a detector has returned.
        batch: The number of images B.
        count: The number of landmarks K.
        values: Whether the points are looked at too.

    Raises:
        TypeError: If it is something else.
        ValueError: If points are of another shape or type, or far outside of the image.
    """
    expect(found, Landmarks, "lmkit.api.Landmarks")
    points = found.points
    expect(points, Tensor, "a Tensor as points")
    shape, wanted = tuple(points.shape), (batch, count, 2)
    if shape != wanted or points.dtype != torch.float32:
        raise ValueError(
            f"returned points of shape {shape} and type {points.dtype} "
            f"instead of {wanted} and torch.float32"
        )
    for field in fields(found)[1:]:
        value = getattr(found, field.name)
        if value is None:
            continue
        if field.name == "extras":
            _check_extras(value, batch)
            continue
        expect(value, Tensor, f"a Tensor or None as {field.name}")
        whole = field.name in ("features", "images")
        begins = (batch,) if whole else (batch, count)
        if tuple(value.shape[: len(begins)]) != begins:
            what = "the images" if whole else "the images and landmarks"
            raise ValueError(
                f"returned {field.name} of shape {tuple(value.shape)}, which does not begin with "
                f"{begins}, the number of {what}"
            )
    if not values:
        return
    if not bool(points.isfinite().all()):
        raise ValueError("returned points that are not finite")
    low, high = points.min().item(), points.max().item()
    if max(-low, high) > FARTHEST:
        raise ValueError(
            f"returned points from {low:.4g} to {high:.4g} instead of within [-1, 1], where -1 and "
            "1 are the edges of the image"
        )


def check_drawn(drawn: Any, shape: torch.Size, *, values: bool) -> None:
    """Refuse what are no images of this shape.

    Args:
        drawn: What a generator has returned.
        shape: Of the images that it was given.
        values: Whether colours are looked at too.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If it is of another shape, or far outside of the range of colours.
    """
    if isinstance(drawn, Redrawn):
        _check_extras(drawn.extras, shape[0])
        drawn = drawn.images
    expect(drawn, Tensor, f"images, a Tensor of shape {tuple(shape)}")
    if drawn.shape != shape:
        raise ValueError(f"returned images of shape {tuple(drawn.shape)} instead of {tuple(shape)}")
    if not drawn.is_floating_point():
        raise ValueError(f"returned images of type {drawn.dtype} instead of torch.float32")
    if values:
        _check_colours(drawn, "images with")


def check_loss(term: Any) -> Tensor:
    """Return what a loss has returned, in float32.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If it is no scalar, or one that nothing can learn from.
    """
    expect(term, Tensor, "a scalar Tensor")
    if term.shape != ():
        raise ValueError(f"returned shape {tuple(term.shape)} instead of a scalar")
    if not term.is_floating_point():
        raise ValueError(f"returned a scalar of type {term.dtype} instead of torch.float32")
    # One that is not in force yet may be a plain 0. Only others are waited for.
    if torch.is_grad_enabled() and not term.requires_grad and bool(term.detach() != 0):
        raise ValueError(
            "returned a constant instead of a scalar that gradients flow from: what it reads was "
            "detached, or turned into numbers"
        )
    value: Tensor = term.float()
    return value


def _check_extras(extras: Any, batch: int) -> None:
    expect(extras, Mapping, "a dictionary of Tensors as extras")
    for name, value in extras.items():
        expect(name, str, "text as the name of an extra")
        expect(value, Tensor, f"a Tensor as the extra '{name}'")
        if len(value.shape) == 0 or len(value) != batch:
            raise ValueError(
                f"returned the extra '{name}' of shape {tuple(value.shape)}, which does not begin "
                f"with the {batch} images"
            )


def _check_colours(images: Tensor, what: str) -> None:
    if not bool(images.isfinite().all()):
        raise ValueError(f"returned {what} colours that are not finite")
    low, high = images.min().item(), images.max().item()
    if low < -SPILL or high > 1 + SPILL:
        raise ValueError(
            f"returned {what} colours from {low:.4g} to {high:.4g} instead of within [0, 1]"
        )
