"""Travels the routes of a step: all hops of equal rank as one batched generator call."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lmkit.interfaces.generator import Generator
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import Route, View
from lmkit.runtime.returned import check_drawn


def travel(
    routes: tuple[Route, ...],
    views: Mapping[View, Tensor],
    landmarks: Mapping[View, Landmarks],
    generator: Generator,
    *,
    values: bool = False,
) -> tuple[tuple[Tensor, ...], ...]:
    """Take every route from its source to its end.

    Routes of equal length run side by side: one generator call a hop, on a batch of R * B.

    Args:
        routes: R routes.
        views: The images of each view, (B, 3, H, W), RGB in [0, 1].
        landmarks: The landmarks of each view.
        generator: Takes a hop.
        values: Whether the colours that it returns are looked at, which waits for the device.

    Returns:
        For every route, the image after each hop, each (B, 3, H, W).

    Raises:
        ValueError: If the generator returns images of another size or range.
    """
    if generator.needs_images:
        landmarks = {view: replace(own, images=views[view]) for view, own in landmarks.items()}
    stages: dict[Route, list[Tensor]] = {route: [] for route in routes}
    for length in sorted({len(route.stops) for route in routes}):
        together = [route for route in routes if len(route.stops) == length]
        images = torch.cat([views[route.source] for route in together])
        for hop in range(1, length):
            before = Landmarks.cat([landmarks[route.stops[hop - 1]] for route in together])
            after = Landmarks.cat([landmarks[route.stops[hop]] for route in together])
            wanted = images.shape
            images = generator(images, before, after)
            check_drawn(images, wanted, values=values)
            for route, end in zip(together, images.chunk(len(together)), strict=True):
                stages[route].append(end)
    return tuple(tuple(stages[route]) for route in routes)
