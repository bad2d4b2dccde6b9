"""Travels the routes of a step: all hops of equal rank as one batched generator call."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lmkit.interfaces.generator import Generator
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import Route, View
from lmkit.runtime.blame import expect


def travel(
    routes: tuple[Route, ...],
    views: Mapping[View, Tensor],
    landmarks: Mapping[View, Landmarks],
    generator: Generator,
) -> tuple[tuple[Tensor, ...], ...]:
    """Take every route from its source to its end.

    Routes of equal length run side by side: one generator call a hop, on a batch of R * B.

    Args:
        routes: R routes.
        views: The images of each view, (B, 3, H, W), RGB in [0, 1].
        landmarks: The landmarks of each view.
        generator: Takes a hop.

    Returns:
        For every route, the image after each hop, each (B, 3, H, W).

    Raises:
        ValueError: If the generator returns images of another size.
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
            expect(images, Tensor, f"images, a Tensor of shape {tuple(wanted)}")
            if images.shape != wanted:
                raise ValueError(
                    f"returned images of shape {tuple(images.shape)} instead of {tuple(wanted)}"
                )
            for route, end in zip(together, images.chunk(len(together)), strict=True):
                stages[route].append(end)
    return tuple(tuple(stages[route]) for route in routes)
