"""The one door for plugin authors: everything a plugin may import from lmkit.

A plugin's hook module needs only ``hookimpl`` and ``Component``, which cost nothing to import; the
interfaces and the tensor functions come with torch and are loaded on first use, so that
``lmkit list`` stays instant with any number of plugins installed.
"""

from typing import TYPE_CHECKING, Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import Command, Component, Listing, Recipe
from lmkit.registry.hookspecs import hookimpl
from lmkit.registry.version import API_VERSION

__all__ = [
    "API_VERSION",
    "DEFAULT_BETA",
    "AffineWarp",
    "Annotation",
    "Command",
    "Component",
    "Dataset",
    "Deformation",
    "Detector",
    "ExitCode",
    "Generator",
    "GeometricDeformation",
    "HeatmapDetector",
    "HeatmapGenerator",
    "Landmarks",
    "Listing",
    "LmkitError",
    "Loss",
    "Pairing",
    "Part",
    "Recipe",
    "Route",
    "Step",
    "ThinPlateWarp",
    "View",
    "Views",
    "Warp",
    "Writer",
    "derangement",
    "freeze",
    "from_pixels",
    "gaussian_heatmaps",
    "hookimpl",
    "load_weights",
    "mean_position",
    "soft_argmax",
    "spatial_softmax",
    "to_pixels",
]

if TYPE_CHECKING:
    from lmkit.geometry.coordinates import from_pixels, to_pixels
    from lmkit.geometry.heatmaps import gaussian_heatmaps
    from lmkit.geometry.soft_argmax import (
        DEFAULT_BETA,
        mean_position,
        soft_argmax,
        spatial_softmax,
    )
    from lmkit.geometry.warps import AffineWarp, ThinPlateWarp, Warp
    from lmkit.interfaces.dataset import Annotation, Dataset, Part
    from lmkit.interfaces.deformation import Deformation, GeometricDeformation, Views
    from lmkit.interfaces.detector import Detector, HeatmapDetector
    from lmkit.interfaces.generator import Generator, HeatmapGenerator
    from lmkit.interfaces.landmarks import Landmarks
    from lmkit.interfaces.loss import Loss
    from lmkit.interfaces.pairing import Pairing, Route, View, derangement
    from lmkit.interfaces.step import Step
    from lmkit.interfaces.weights import freeze, load_weights
    from lmkit.interfaces.writer import Writer

_HOMES = {
    "DEFAULT_BETA": "geometry.soft_argmax",
    "AffineWarp": "geometry.warps",
    "Annotation": "interfaces.dataset",
    "Dataset": "interfaces.dataset",
    "Deformation": "interfaces.deformation",
    "Detector": "interfaces.detector",
    "Generator": "interfaces.generator",
    "GeometricDeformation": "interfaces.deformation",
    "HeatmapDetector": "interfaces.detector",
    "HeatmapGenerator": "interfaces.generator",
    "Landmarks": "interfaces.landmarks",
    "Loss": "interfaces.loss",
    "Pairing": "interfaces.pairing",
    "Part": "interfaces.dataset",
    "Route": "interfaces.pairing",
    "Step": "interfaces.step",
    "ThinPlateWarp": "geometry.warps",
    "View": "interfaces.pairing",
    "Views": "interfaces.deformation",
    "Warp": "geometry.warps",
    "Writer": "interfaces.writer",
    "derangement": "interfaces.pairing",
    "freeze": "interfaces.weights",
    "from_pixels": "geometry.coordinates",
    "gaussian_heatmaps": "geometry.heatmaps",
    "load_weights": "interfaces.weights",
    "mean_position": "geometry.soft_argmax",
    "soft_argmax": "geometry.soft_argmax",
    "spatial_softmax": "geometry.soft_argmax",
    "to_pixels": "geometry.coordinates",
}


def __getattr__(name: str) -> Any:
    """Import an interface or a tensor function on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkit.api' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lmkit.{_HOMES[name]}"), name)
