"""The recipes train, and the method's parts mix with everybody else's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lmkit
from lmkit.api import LmkitError
from lmkit.registry.lookup import Registry

SMALL: dict[str, Any] = {
    "run": {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
}
NARROW: dict[str, Any] = {"descriptor": 6, "width": 4, "depth": 1, "blocks": 1}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(max(run.glob("checkpoints/*")) / "detector.safetensors")


@pytest.mark.parametrize("recipe", ["dve", "dve-quick"])
def test_a_recipe_trains_without_a_generator(recipe: str, tmp_path: Path) -> None:
    lmkit.train(recipe=recipe, out=tmp_path / "run", settings=SMALL | {"detector": NARROW})
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert set(run.settings.loss) == {"dve-exchange", "dve-clusters"}
    assert run.settings.generator["name"] == "none"
    assert run.predict(torch.rand(3, 40, 60)).shape == (3, 2)


def test_the_recipe_depends_on_no_other(registry: Registry) -> None:
    (recipe,) = [each for each, _ in registry.recipes() if each.name == "dve"]
    assert "based_on" not in recipe.read()


def test_the_network_learns_from_the_exchange_and_the_filters_from_the_clusters(
    tmp_path: Path,
) -> None:
    # Clipping looks at all gradients of the detector together.
    settings = SMALL | {"detector": NARROW, "optimizer": {"clip_norm": 1e9}}
    other = settings | {"loss": {"dve-clusters": {"blur": 0.5}}}
    lmkit.train(recipe="dve-quick", out=tmp_path / "run", settings=settings)
    lmkit.train(recipe="dve-quick", out=tmp_path / "other", settings=other)
    first, second = weights(tmp_path / "run"), weights(tmp_path / "other")
    changed = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert changed == {"filters"}


def test_the_detector_trains_by_reconstruction_through_an_auxiliary(tmp_path: Path) -> None:
    parts = {
        "detector": {"name": "dve", **NARROW},
        "generator": {"name": "residual", "width": 4, "blocks": 1},
        "loss": {"dve-exchange": {"weight": 0.1}},
    }
    lmkit.train(recipe="reconstruction-quick", out=tmp_path / "run", settings=SMALL | parts)
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert run.settings.pairing["name"] == "inter-intra"
    assert set(run.settings.loss) == {"mse", "dve-exchange"}


@pytest.mark.parametrize(
    ("loss", "needed"),
    [("dve-exchange", "descriptors of all pixels"), ("dve-clusters", "cosines of descriptors")],
)
def test_a_detector_without_descriptors_is_refused_by_what_the_losses_need(
    loss: str, needed: str, tmp_path: Path
) -> None:
    parts = {
        "detector": {"name": "hourglass", "features": 8, "depth": 1},
        "generator": {"name": "residual", "width": 4, "blocks": 1},
        "loss": {loss: {}},
    }
    with pytest.raises(LmkitError, match=needed):
        lmkit.train(recipe="reconstruction-quick", out=tmp_path / "run", settings=SMALL | parts)
