"""The graph that is exported: from uint8 images to points, all constants inside."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lmkit.geometry.coordinates import to_pixels
from lmkit.geometry.soft_argmax import concentration, second_moments
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.points.map import PointsMap

INPUT = "images"
"""The name of the graph's input: (B, 3, S, S), uint8, RGB."""

OUTPUTS = {
    "points": "(B, K, 2), (x, y) in pixels of the input, the centre of its first pixel at (0, 0)",
    "normalised": "(B, K, 2), the same in [-1, 1], the outer edges of the input",
    "confidence": "(B, K), in [0, 1]",
    "covariance": "(B, K, 2, 2), of each landmark's probability map, in square pixels of the input",
    "named_points": "(B, P, 2), in the pixels of points",
}
"""What a graph may return, in this order, all float32; the first two are always there."""

TOLERANCE = 1e-4
"""How far the points of a graph may be from the detector's, in pixels of the input."""

ROUNDING = 4.0
"""How many times the difference that another order of summing makes to the detector's own outputs
is put up with, where that is more than the tolerance: maps with several sharp peaks enlarge it."""

LARGEST_TOLERANCE = 1e-2
"""In pixels of the input: what is more is no rounding."""

BATCHES = (1, 3)
"""The sizes of the batches that a graph is tried with."""


class Graph(nn.Module):
    """A detector from uint8 images to named tensors.

    Args:
        detector: In eval mode, on the CPU.
        image_size: Side S of its square images, in pixels.
        points: Fitted with the detector; named points are returned too.
    """

    matrix: Tensor
    offset: Tensor

    def __init__(
        self, detector: Detector, image_size: int, points: PointsMap | None = None
    ) -> None:
        super().__init__()
        self.detector = detector
        self.image_size = image_size
        self.has_points = points is not None
        if points is not None:
            # float64, as outside of the graph: weights of a map may be large and cancel.
            self.register_buffer("matrix", torch.from_numpy(np.array(points.matrix)))
            self.register_buffer("offset", torch.from_numpy(np.array(points.offset)))

    def named(self, images: Tensor) -> dict[str, Tensor]:
        """Return every output by its name, as [OUTPUTS][lmkit.export.graph.OUTPUTS] has them.

        Args:
            images: (B, 3, S, S), uint8.
        """
        size = self.image_size
        found: Landmarks = self.detector(images.float() / 255)
        normalised = found.points.float()
        outputs = {"points": to_pixels(normalised, size, size), "normalised": normalised}
        maps = found.probability_maps
        confidence = found.confidence
        if confidence is None and maps is not None:
            confidence = concentration(maps, normalised)
        if confidence is not None:
            outputs["confidence"] = confidence.float()
        if maps is not None:
            outputs["covariance"] = second_moments(maps, normalised).float() * (size / 2) ** 2
        if self.has_points:
            outputs["named_points"] = self.name_points(normalised)
        return outputs

    def name_points(self, normalised: Tensor) -> Tensor:
        """Map landmarks to named points in pixels of the input.

        Args:
            normalised: (B, K, 2), in [-1, 1].

        Returns:
            (B, P, 2), float32.
        """
        flat = normalised.double().flatten(1)
        named = (flat @ self.matrix + self.offset).unflatten(1, (-1, 2))
        return to_pixels(named, self.image_size, self.image_size).float()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in order.

        Args:
            images: (B, 3, S, S), uint8.
        """
        return tuple(self.named(images).values())


def build_graph(detector: Detector, image_size: int, points: PointsMap | None = None) -> Graph:
    """Return the graph of a detector, which stays as it is: on the CPU, in eval mode, contiguous.

    Args:
        detector: Anywhere.
        image_size: Side S of its square images, in pixels.
        points: Fitted with the detector.
    """
    # Whoever asks may be in inference mode, whose tensors cannot be traced.
    with torch.inference_mode(mode=False):
        twin = copy.deepcopy(detector).cpu().to(memory_format=torch.contiguous_format)
        graph = Graph(twin, image_size, points).eval()
        for parameter in graph.parameters():
            parameter.requires_grad_(False)
    return graph


def trace(graph: Graph) -> "torch.export.ExportedProgram":
    """Trace a graph for batches of any size.

    Raises:
        Exception: Whatever torch.export raises where it cannot trace the detector.
    """
    # Two images: torch takes a size of one for a constant.
    images = try_images(2, graph.image_size)
    with torch.inference_mode(mode=False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = {INPUT: {0: torch.export.Dim("batch")}}
        return torch.export.export(graph, (images,), dynamic_shapes=shapes, strict=False)


def try_images(count: int, size: int) -> Tensor:
    """Return images to try a graph with: smooth, noisy and plain ones, the same at every call.

    Args:
        count: How many, B.
        size: Side S, in pixels.

    Returns:
        (B, 3, S, S), uint8.
    """
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=random)
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    strength = torch.linspace(0, 0.5, count).view(-1, 1, 1, 1)
    noisy = smooth + strength * (torch.rand(count, 3, size, size, generator=random) - 0.5)
    return (255 * noisy.clamp(0, 1)).round().to(torch.uint8)


def expected(graph: Graph, images: Tensor) -> dict[str, Tensor]:
    """Return what a graph is to return, computed by the detector as it is.

    Args:
        graph: The graph.
        images: (B, 3, S, S), uint8.
    """
    with torch.no_grad():
        return graph.named(images)


def rounding(graph: Graph, images: Tensor, wanted: dict[str, Tensor]) -> dict[str, float]:
    """Return how much the outputs of the detector itself change with the order of its sums.

    Args:
        graph: The graph.
        images: (B, 3, S, S), uint8.
        wanted: What ``expected`` returned of them.
    """
    twin = copy.deepcopy(graph).to(memory_format=torch.channels_last)
    found = expected(twin, images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a setting of this that concerns no CPU
        with torch.backends.mkldnn.flags(enabled=False):
            others = (found, expected(graph, images))
    apart = [differences(list(other), list(other.values()), wanted) for other in others]
    return {name: max(each[name] for each in apart) for name in wanted}


def differences(
    names: Sequence[str], found: Sequence[Any], wanted: dict[str, Tensor]
) -> dict[str, float]:
    """Return how far outputs are from what is expected, by name; infinity for another shape.

    Args:
        names: What the outputs are called.
        found: Tensors or arrays.
        wanted: The same of the detector.
    """
    apart = dict.fromkeys(wanted, float("inf"))
    for name, values in zip(names, found, strict=True):
        tensor, other = torch.as_tensor(values), wanted.get(name)
        if other is not None and tensor.shape == other.shape:
            most = (tensor.double() - other.double()).abs().max().item()
            apart[name] = most if most == most else float("inf")
    return apart
