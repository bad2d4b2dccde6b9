"""What an author should test: that lmkit finds the parts, that they keep their contracts, a run."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lmkit_example.detector import Tiny
from lmkit_example.loss import Separation

import lmkit
from lmkit.api import AffineWarp, Landmarks, LmkitError, Step
from lmkit.testing import checks_for

SMALL = {
    "run": {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 24},
    "generator": {"width": 4, "blocks": 1},
}


def step_with(points: torch.Tensor) -> Step:
    """Return the record of a step that found these points, with everything else at rest."""
    still = AffineWarp(torch.eye(2, 3).expand(len(points), 2, 3))
    views = {"original": torch.zeros(len(points), 3, 8, 8)}
    return Step(0, views, {"original": Landmarks(points)}, {"original": still}, (), ())


@pytest.mark.parametrize("check", checks_for("lmkit_example"), ids=str)
def test_it_keeps_its_promises(check):
    """What lmkit expects of any detector and of any loss."""
    check()


def test_lmkit_finds_the_plugin_and_lists_it_without_torch():
    """Needs the package to be installed, as an entry point is."""
    script = (
        "import sys; from lmkit.cli.main import main\n"
        "try: main(['plugins', '--json'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = {plugin["name"]: plugin for plugin in json.loads(out.stdout)}["lmkit_example"]
    assert found["state"] == "works", found["problem"]
    assert found["components"] == ["detector tiny", "loss separation"]
    assert found["recipes"] == ["example"]


def test_score_maps_are_a_quarter_of_the_picture():
    """In each direction, at whatever size."""
    assert Tiny(landmarks=5).score_maps(torch.rand(2, 3, 48, 64)).shape == (2, 5, 12, 16)


def test_the_detector_starts_from_given_weights(tmp_path: Path):
    """Not when it is made, which also happens when a run is opened, but when a run starts."""
    torch.manual_seed(0)
    given = Tiny(landmarks=2, width=4)
    torch.save(given.state_dict(), tmp_path / "weights.pth")
    started = Tiny(landmarks=2, width=4, weights=tmp_path / "weights.pth")
    assert not torch.equal(started.layers[0].weight, given.layers[0].weight)
    started.initialise()
    assert torch.equal(started.layers[0].weight, given.layers[0].weight)


def test_the_loss_is_one_where_landmarks_coincide_and_falls_with_their_distance():
    """In closed form, at no distance and at the one asked for."""
    together = step_with(torch.zeros(1, 2, 2))
    apart = step_with(torch.tensor([[[0.0, 0.0], [0.2, 0.0]]]))
    loss = Separation(distance=0.2)
    assert loss(together).item() == 1
    assert loss(apart).item() == pytest.approx(math.exp(-0.5))


def test_the_loss_pushes_landmarks_apart():
    """Its gradient points from each landmark to the other."""
    points = torch.tensor([[[0.0, 0.0], [0.1, 0.0]]], requires_grad=True)
    Separation()(step_with(points)).backward()
    assert points.grad is not None
    assert points.grad[0, 0, 0] > 0 > points.grad[0, 1, 0]


def test_one_landmark_alone_costs_nothing():
    """And still has a gradient to hand on."""
    points = torch.zeros(2, 1, 2, requires_grad=True)
    loss = Separation()(step_with(points))
    loss.backward()
    assert loss.item() == 0


def test_a_distance_that_makes_no_sense_is_refused():
    """With a remedy."""
    with pytest.raises(LmkitError, match="Give it a number above 0"):
        Separation(distance=0.0)


def test_the_recipe_trains_and_its_run_can_be_opened(tmp_path: Path):
    """The whole way, as a user goes it, in miniature."""
    lmkit.train(recipe="example", out=tmp_path / "run", settings=SMALL)
    run = lmkit.open_run(tmp_path / "run", device="cpu")
    assert run.settings.detector["name"] == "tiny"
    assert run.settings.loss["separation"]["weight"] == 0.1
    assert run.predict(torch.rand(3, 40, 60)).shape == (3, 2)
