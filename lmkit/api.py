"""The one door for plugin authors: everything a plugin may import from lmkit.

Every name is loaded on first use. A plugin's hook module needs only ``hookimpl`` and ``Component``,
which cost nothing to import; the interfaces and the tensor functions come with torch, so that
``lmkit list`` stays instant with any number of plugins installed.
"""

from typing import TYPE_CHECKING, Any

_HOMES = {
    "API_VERSION": "registry.discovery",
    "AffineWarp": "geometry.warps",
    "Annotation": "interfaces.dataset",
    "CampaignReport": "cli.campaigns",
    "CampaignResult": "campaigns.campaign",
    "Command": "registry.component",
    "Component": "registry.component",
    "DEFAULT_BETA": "geometry.soft_argmax",
    "Dataset": "interfaces.dataset",
    "Deformation": "interfaces.deformation",
    "Detector": "interfaces.detector",
    "ExitCode": "errors",
    "Generator": "interfaces.generator",
    "GeometricDeformation": "interfaces.deformation",
    "HeatmapDetector": "interfaces.detector",
    "HeatmapGenerator": "interfaces.generator",
    "Landmarks": "interfaces.landmarks",
    "Layer": "settings.layers",
    "Listing": "registry.component",
    "LiveNetwork": "interfaces.live",
    "LmkitError": "errors",
    "Loss": "interfaces.loss",
    "Pairing": "interfaces.pairing",
    "Part": "interfaces.dataset",
    "Recipe": "registry.component",
    "Redrawn": "interfaces.generator",
    "Route": "interfaces.pairing",
    "Step": "interfaces.step",
    "ThinPlateWarp": "geometry.warps",
    "View": "interfaces.pairing",
    "Views": "interfaces.deformation",
    "Warp": "geometry.warps",
    "Writer": "interfaces.writer",
    "as_typed": "registry.values",
    "complete_settings": "settings.for_plugins",
    "data_section": "settings.for_plugins",
    "default_recipe": "training.session",
    "derangement": "interfaces.pairing",
    "did_you_mean": "errors",
    "follow": "interfaces.live",
    "freeze": "interfaces.weights",
    "from_pixels": "geometry.coordinates",
    "gaussian_heatmaps": "geometry.heatmaps",
    "hookimpl": "registry.hookspecs",
    "is_of_the_method": "settings.changes",
    "load_weights": "interfaces.weights",
    "mean_position": "geometry.soft_argmax",
    "read_assignments": "settings.layers",
    "recipe_layers": "settings.for_plugins",
    "run_campaign": "cli.campaigns",
    "soft_argmax": "geometry.soft_argmax",
    "spatial_softmax": "geometry.soft_argmax",
    "to_pixels": "geometry.coordinates",
}
"""Every name and the module it is defined in; what type checkers read below is held to it."""

if TYPE_CHECKING:
    from lmkit.campaigns.campaign import CampaignResult as CampaignResult
    from lmkit.cli.campaigns import CampaignReport as CampaignReport
    from lmkit.cli.campaigns import run_campaign as run_campaign
    from lmkit.errors import ExitCode as ExitCode
    from lmkit.errors import LmkitError as LmkitError
    from lmkit.errors import did_you_mean as did_you_mean
    from lmkit.geometry.coordinates import from_pixels as from_pixels
    from lmkit.geometry.coordinates import to_pixels as to_pixels
    from lmkit.geometry.heatmaps import gaussian_heatmaps as gaussian_heatmaps
    from lmkit.geometry.soft_argmax import DEFAULT_BETA as DEFAULT_BETA
    from lmkit.geometry.soft_argmax import mean_position as mean_position
    from lmkit.geometry.soft_argmax import soft_argmax as soft_argmax
    from lmkit.geometry.soft_argmax import spatial_softmax as spatial_softmax
    from lmkit.geometry.warps import AffineWarp as AffineWarp
    from lmkit.geometry.warps import ThinPlateWarp as ThinPlateWarp
    from lmkit.geometry.warps import Warp as Warp
    from lmkit.interfaces.dataset import Annotation as Annotation
    from lmkit.interfaces.dataset import Dataset as Dataset
    from lmkit.interfaces.dataset import Part as Part
    from lmkit.interfaces.deformation import Deformation as Deformation
    from lmkit.interfaces.deformation import GeometricDeformation as GeometricDeformation
    from lmkit.interfaces.deformation import Views as Views
    from lmkit.interfaces.detector import Detector as Detector
    from lmkit.interfaces.detector import HeatmapDetector as HeatmapDetector
    from lmkit.interfaces.generator import Generator as Generator
    from lmkit.interfaces.generator import HeatmapGenerator as HeatmapGenerator
    from lmkit.interfaces.generator import Redrawn as Redrawn
    from lmkit.interfaces.landmarks import Landmarks as Landmarks
    from lmkit.interfaces.live import LiveNetwork as LiveNetwork
    from lmkit.interfaces.live import follow as follow
    from lmkit.interfaces.loss import Loss as Loss
    from lmkit.interfaces.pairing import Pairing as Pairing
    from lmkit.interfaces.pairing import Route as Route
    from lmkit.interfaces.pairing import View as View
    from lmkit.interfaces.pairing import derangement as derangement
    from lmkit.interfaces.step import Step as Step
    from lmkit.interfaces.weights import freeze as freeze
    from lmkit.interfaces.weights import load_weights as load_weights
    from lmkit.interfaces.writer import Writer as Writer
    from lmkit.registry.component import Command as Command
    from lmkit.registry.component import Component as Component
    from lmkit.registry.component import Listing as Listing
    from lmkit.registry.component import Recipe as Recipe
    from lmkit.registry.discovery import API_VERSION as API_VERSION
    from lmkit.registry.hookspecs import hookimpl as hookimpl
    from lmkit.registry.values import as_typed as as_typed
    from lmkit.settings.changes import is_of_the_method as is_of_the_method
    from lmkit.settings.for_plugins import complete_settings as complete_settings
    from lmkit.settings.for_plugins import data_section as data_section
    from lmkit.settings.for_plugins import recipe_layers as recipe_layers
    from lmkit.settings.layers import Layer as Layer
    from lmkit.settings.layers import read_assignments as read_assignments
    from lmkit.training.session import default_recipe as default_recipe

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkit.api' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lmkit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Show the names that nobody has used yet as well."""
    return sorted({*globals(), *__all__})
