"""What many tests share: the registry of built-ins, and runs small enough to train in a second."""

from pathlib import Path

import pytest
import torch

from lmkit import config
from lmkit.registry.lookup import Registry, installed

TINY = {
    "run": {"steps": 4, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"name": "faces", "count": 24},
    "detector": {"name": "hourglass", "features": 8, "depth": 1},
    "generator": {"name": "residual", "width": 4, "blocks": 1},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every installed component."""
    return installed()


@pytest.fixture(scope="session")
def tiny(registry: Registry):
    """Make the settings of a run that trains in a second: ``tiny("run.steps=2", ...)``."""

    def make(*assignments: str, recipe: str = "quickstart") -> config.Settings:
        layers = [
            *config.read_recipe(recipe, registry),
            config.Layer("test", TINY),
            config.read_assignments(assignments),
        ]
        return config.resolve(config.merge(layers), registry)

    return make


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run; to be read, not changed."""
    from lmkit.run import start

    out = tmp_path_factory.mktemp("runs") / "trained"
    start(tiny("run.checkpoint_every=2"), out)
    return out
