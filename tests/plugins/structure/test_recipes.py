"""The recipes train, and the parts train with everybody else's."""

from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.registry.lookup import Registry
from lmkit.settings.layers import read_recipe
from lmkit.settings.optimizer import learning_rate
from lmkit.settings.settings import settle
from lmkit_structure.pairing import Itself

SMALL: dict[str, Any] = {
    "run": {"steps": 2, "batch_size": 2, "image_size": 16, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
}


def trained(tmp_path: Path, settings: dict[str, Any], **given: Any) -> lmkit.Run:
    lmkit.train(out=tmp_path / "run", settings=SMALL | settings, **given)
    return lmkit.open_run(tmp_path / "run", device="cpu")


@pytest.mark.parametrize("recipe", ["structure", "structure-quick", "photos", "photos-long"])
def test_the_recipe_trains(tmp_path: Path, recipe: str) -> None:
    small = {"width": 4, "depth": 1}
    run = trained(tmp_path, {"detector": small, "generator": small}, recipe=recipe)
    assert {name for name in run.settings.loss if name.startswith("structure-")} == {
        "structure-concentration",
        "structure-separation",
        "structure-equivariance",
    }


@pytest.mark.parametrize("recipe", ["photos", "photos-long"])
def test_the_learning_rate_of_a_recipe_falls_until_its_end(registry: Registry, recipe: str) -> None:
    settings = settle(read_recipe(recipe, registry), registry)
    rates = [learning_rate(settings.optimizer, step) for step in (0, settings.run.steps)]
    assert settings.optimizer.schedule == "cosine"
    assert rates[1] == pytest.approx(rates[0] * settings.optimizer.decay_factor)


def test_the_recipe_depends_on_no_other(registry: Registry) -> None:
    (recipe,) = [each for each, _ in registry.recipes() if each.name == "structure"]
    assert "based_on" not in recipe.read()


def test_every_image_is_redrawn_into_itself() -> None:
    assert [str(route) for route in Itself().routes()] == ["original -> original"]


@pytest.mark.parametrize(
    "settings",
    [
        {
            "detector": {"name": "structure", "width": 4, "depth": 1},
            "generator": {"name": "residual", "width": 4, "blocks": 1},
        },
        {
            "detector": {"name": "hourglass", "features": 8, "depth": 1},
            "generator": {"name": "structure", "width": 4, "depth": 1},
            "loss": {"structure-concentration": {}, "structure-equivariance": {}},
        },
    ],
    ids=["detector", "generator and losses"],
)
def test_the_parts_train_in_inter_intra(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = trained(tmp_path, settings, recipe="reconstruction-quick")
    assert run.settings.pairing["name"] == "inter-intra"
