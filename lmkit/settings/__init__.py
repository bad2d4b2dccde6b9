"""One run's settings, free of torch: layers in, checked and complete settings out."""

from lmkit.settings.layers import (
    Layer,
    merge,
    parse_data,
    read_assignments,
    read_config_file,
    read_recipe,
    read_toml,
)
from lmkit.settings.optimizer import OptimizerSettings
from lmkit.settings.sections import Effect, LoadingSettings, RunSettings
from lmkit.settings.settings import Settings, resolve, settle

__all__ = [
    "Effect",
    "Layer",
    "LoadingSettings",
    "OptimizerSettings",
    "RunSettings",
    "Settings",
    "merge",
    "parse_data",
    "read_assignments",
    "read_config_file",
    "read_recipe",
    "read_toml",
    "resolve",
    "settle",
]
