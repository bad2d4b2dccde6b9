"""The recipes train, and the method's parts mix with everybody else's."""

import json

import pytest

from lmkit.training.session import start

SMALL = ("run.steps=2", "run.batch_size=2", "detector.widths=4,4,4,4,4", "detector.name=factorized")


def last(out):
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("recipe", ["factorized", "factorized-quick"])
def test_a_recipe_trains_without_a_generator(recipe, tiny, tmp_path):
    settings = tiny(*SMALL, "generator.name=none", recipe=recipe)
    start(settings, tmp_path / "run")
    metrics = last(tmp_path / "run")
    assert metrics["step"] == 2
    assert metrics["skipped_updates"] == 0
    losses = {name for name in metrics if name.startswith("loss/")}
    assert losses == {"loss/factorized-equivariance", "loss/factorized-diversity"}


def test_the_detector_works_with_the_papers_generator(tiny, tmp_path):
    start(tiny(*SMALL), tmp_path / "run")
    assert last(tmp_path / "run")["loss/mse"] > 0


def test_the_losses_work_with_the_papers_detector_beside_its_own(tiny, tmp_path):
    settings = tiny(
        "run.steps=2",
        "loss.factorized-equivariance.weight=1",
        "loss.factorized-diversity.weight=0.1",
    )
    start(settings, tmp_path / "run")
    assert last(tmp_path / "run").keys() >= {
        "loss/mse",
        "loss/factorized-equivariance",
        "loss/factorized-diversity",
    }
