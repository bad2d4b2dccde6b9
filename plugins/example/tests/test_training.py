"""The whole way, as a user goes it, in miniature."""

from pathlib import Path

import torch

import lmkit

SMALL = {
    "run": {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
    "generator": {"width": 4},
}


def test_the_recipe_trains_and_its_run_can_be_opened(tmp_path: Path) -> None:
    """Two steps, a checkpoint, and landmarks of an image it has not seen."""
    lmkit.train(recipe="example", out=tmp_path / "run", settings=SMALL)
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert run.predict(torch.rand(3, 40, 60)).shape == (3, 2)
