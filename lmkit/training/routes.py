"""Travels the routes of a step: all hops of equal rank as one batched generator call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from lmkit.interfaces.generator import Generator, Redrawn, images_of
from lmkit.interfaces.landmarks import Extras, Landmarks
from lmkit.interfaces.pairing import Route, View
from lmkit.runtime.returned import check_drawn


class Travelled(NamedTuple):
    """Routes that were taken."""

    stages: tuple[tuple[Tensor, ...], ...]
    """For every route, the image after each hop."""
    extras: tuple[tuple[Extras, ...], ...]
    """For every route and hop, what the generator returned beside the image."""


def travel(
    routes: tuple[Route, ...],
    views: Mapping[View, Tensor],
    landmarks: Mapping[View, Landmarks],
    generator: Generator,
    *,
    values: bool = False,
) -> Travelled:
    """Take every route from its source to its end.

    Routes of equal length run side by side: one generator call a hop, on a batch of R * B.

    Args:
        routes: R routes.
        views: The images of each view, (B, 3, H, W), RGB in [0, 1].
        landmarks: The landmarks of each view.
        generator: Takes a hop.
        values: Whether the colours that it returns are looked at, which waits for the device.

    Returns:
        For every route, the image after each hop, each (B, 3, H, W), and what the generator had to
        tell beside it.

    Raises:
        ValueError: If the generator returns images of another size or range.
    """
    if generator.needs_images:
        landmarks = {view: replace(own, images=views[view]) for view, own in landmarks.items()}
    stages: dict[Route, list[Tensor]] = {route: [] for route in routes}
    extras: dict[Route, list[Extras]] = {route: [] for route in routes}
    for length in sorted({len(route.stops) for route in routes}):
        together = [route for route in routes if len(route.stops) == length]
        images = torch.cat([views[route.source] for route in together])
        for hop in range(1, length):
            before = Landmarks.cat([landmarks[route.stops[hop - 1]] for route in together])
            after = Landmarks.cat([landmarks[route.stops[hop]] for route in together])
            wanted = images.shape
            drawn = generator(images, before, after)
            check_drawn(drawn, wanted, values=values)
            images = images_of(drawn)
            for route, end in zip(together, images.chunk(len(together)), strict=True):
                stages[route].append(end)
            told = Extras(drawn.extras if isinstance(drawn, Redrawn) else {})
            size = len(images) // len(together)
            for place, route in enumerate(together):
                extras[route].append(told.pick(slice(place * size, (place + 1) * size)))
    return Travelled(
        tuple(tuple(stages[route]) for route in routes),
        tuple(tuple(extras[route]) for route in routes),
    )
