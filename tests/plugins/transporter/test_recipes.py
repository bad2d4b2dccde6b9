"""The recipes train, in miniature, and the generator mixes with everybody else's parts."""

from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit
from lmkit.errors import LmkitError

SMALL: dict[str, Any] = {
    "run": {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
    "detector": {"width": 4},
    "generator": {"width": 2},
}


@pytest.mark.parametrize("recipe", ["transporter", "transporter-quick"])
def test_the_recipe_trains_and_its_run_can_be_opened(recipe: str, tmp_path: Path) -> None:
    lmkit.train(recipe=recipe, out=tmp_path / "run", settings=SMALL)
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert run.settings.generator["name"] == "transporter"
    assert run.predict(torch.rand(3, 40, 60)).shape == (3, 2)


def test_the_method_pairs_images_of_one_subject(tmp_path: Path) -> None:
    alone = {**SMALL, "data": {"count": 24, "images_per_subject": 1}}
    with pytest.raises(LmkitError, match=r"loading\.partner=subject"):
        lmkit.train(recipe="transporter", out=tmp_path / "run", settings=alone)


def test_it_trains_on_pairs_of_one_image_and_on_longer_routes(tmp_path: Path) -> None:
    settings = {
        **SMALL,
        "detector": {"name": "hourglass", "features": 8, "depth": 1},
        "generator": {"name": "transporter", "width": 2},
    }
    for pairing in ("intra", "inter-intra"):
        chosen = {**settings, "pairing": {"name": pairing}}
        lmkit.train(recipe="reconstruction-quick", out=tmp_path / pairing, settings=chosen)
