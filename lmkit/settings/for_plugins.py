"""Settings as a plugin's command puts them together: of whatever components are installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmkit.registry.lookup import installed
from lmkit.settings.layers import Layer, parse_data, read_recipe
from lmkit.settings.settings import settle


def recipe_layers(name: str) -> list[Layer]:
    """Return the layers of a recipe: those of the recipes it is based on, then its own.

    Args:
        name: What ``--recipe`` takes.

    Raises:
        LmkitError: If there is no such recipe, or it is not TOML.
    """
    return read_recipe(name, installed())


def data_section(spec: str | Path) -> dict[str, Any]:
    """Return the section ``data`` that a ``--data`` word stands for.

    Args:
        spec: ``NAME``, ``NAME:VALUE``, or the path of a folder of images; a ``Path`` is always a
            path.

    Raises:
        LmkitError: If it is neither a kind of data nor a folder.
    """
    return parse_data(spec, installed())


def complete_settings(layers: Sequence[Layer]) -> dict[str, Any]:
    """Merge layers, check every option, and fill in every default.

    Args:
        layers: Later ones win.

    Returns:
        ``{section: {key: value}}`` of JSON values, as ``run.json`` holds them; ``loss`` and
        ``writer`` hold one such section for each label.

    Raises:
        LmkitError: If a component or an option is unknown, missing, or of the wrong type.
    """
    return settle(layers).to_dict()
