"""The recipes train, in miniature, and the networks mix with everybody else's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lmkit

SMALL: dict[str, Any] = {
    "run": {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
}
NARROW: dict[str, Any] = {"detector": {"width": 4}, "generator": {"width": 2}}
SHALLOW: dict[str, Any] = {
    "loss": {"perceptual": {"weights": "random", "layers": ["input", "relu1_1"]}}
}


def test_the_method_trains_and_its_running_means_go_on_where_they_were(tmp_path: Path) -> None:
    # The schedule of a recipe goes with its steps.
    settings = SMALL | NARROW | SHALLOW | {"optimizer": {"decay_every": 100}}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    longer = {"run": SMALL["run"] | {"steps": 4}}
    lmkit.train(recipe="imm", out=whole, settings=settings | longer)
    lmkit.train(recipe="imm", out=parts, settings=settings)
    lmkit.train(resume_from=parts, settings={"run": {"steps": 4}})
    means = [
        load_file(max(run.glob("checkpoints/*")) / "losses.safetensors")["perceptual.running_means"]
        for run in (whole, parts)
    ]
    assert bool((means[0] > 0).all())
    assert torch.equal(means[0], means[1])


def test_the_quick_recipe_needs_no_file(tmp_path: Path) -> None:
    lmkit.train(recipe="imm-quick", out=tmp_path / "run", settings=SMALL | NARROW)
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert run.settings.detector["name"] == run.settings.generator["name"] == "imm"
    assert run.predict(torch.rand(3, 40, 60)).shape == (3, 2)


@pytest.mark.parametrize(
    "chosen",
    [
        {"detector": {"name": "imm", "width": 2}, "pairing": {"name": "inter-intra"}},
        {"generator": {"name": "imm", "width": 2}},
    ],
    ids=["detector", "generator"],
)
def test_each_network_trains_with_those_of_others(chosen: dict[str, Any], tmp_path: Path) -> None:
    others: dict[str, Any] = {
        "detector": {"name": "hourglass", "features": 8, "depth": 1},
        "generator": {"name": "residual", "width": 4, "blocks": 1},
    }
    lmkit.train(
        recipe="reconstruction-quick", out=tmp_path / "run", settings=SMALL | others | chosen
    )
