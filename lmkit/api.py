"""The one door for plugin authors: everything a plugin may import from lmkit.

A plugin's hook module needs only ``hookimpl`` and ``Component``, which cost nothing to import; the
interfaces, the tensor functions and all else are loaded on first use, many with torch, so that
``lmkit list`` stays instant with any number of plugins installed.
"""

from typing import TYPE_CHECKING, Any

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.component import Command, Component, Listing, Recipe
from lmkit.registry.hookspecs import hookimpl
from lmkit.registry.version import API_VERSION

__all__ = [
    "API_VERSION",
    "DEFAULT_BETA",
    "AffineWarp",
    "Annotation",
    "CampaignReport",
    "CampaignResult",
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
    "Layer",
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
    "as_typed",
    "complete_settings",
    "data_section",
    "default_recipe",
    "derangement",
    "did_you_mean",
    "freeze",
    "from_pixels",
    "gaussian_heatmaps",
    "hookimpl",
    "is_of_the_method",
    "load_weights",
    "mean_position",
    "read_assignments",
    "recipe_layers",
    "run_campaign",
    "soft_argmax",
    "spatial_softmax",
    "to_pixels",
]

if TYPE_CHECKING:
    from lmkit.campaigns.campaign import CampaignResult
    from lmkit.cli.campaigns import CampaignReport, run_campaign
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
    from lmkit.registry.values import as_typed
    from lmkit.settings.changes import is_of_the_method
    from lmkit.settings.for_plugins import complete_settings, data_section, recipe_layers
    from lmkit.settings.layers import Layer, read_assignments
    from lmkit.training.session import default_recipe

_HOMES = {
    "DEFAULT_BETA": "geometry.soft_argmax",
    "AffineWarp": "geometry.warps",
    "Annotation": "interfaces.dataset",
    "CampaignReport": "cli.campaigns",
    "CampaignResult": "campaigns.campaign",
    "Dataset": "interfaces.dataset",
    "Deformation": "interfaces.deformation",
    "Detector": "interfaces.detector",
    "Generator": "interfaces.generator",
    "GeometricDeformation": "interfaces.deformation",
    "HeatmapDetector": "interfaces.detector",
    "HeatmapGenerator": "interfaces.generator",
    "Landmarks": "interfaces.landmarks",
    "Layer": "settings.layers",
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
    "is_of_the_method": "settings.changes",
    "as_typed": "registry.values",
    "complete_settings": "settings.for_plugins",
    "data_section": "settings.for_plugins",
    "default_recipe": "training.session",
    "derangement": "interfaces.pairing",
    "freeze": "interfaces.weights",
    "from_pixels": "geometry.coordinates",
    "gaussian_heatmaps": "geometry.heatmaps",
    "load_weights": "interfaces.weights",
    "mean_position": "geometry.soft_argmax",
    "read_assignments": "settings.layers",
    "recipe_layers": "settings.for_plugins",
    "run_campaign": "cli.campaigns",
    "soft_argmax": "geometry.soft_argmax",
    "spatial_softmax": "geometry.soft_argmax",
    "to_pixels": "geometry.coordinates",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkit.api' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lmkit.{_HOMES[name]}"), name)
