"""What is special about the detector; the rest is checked in test_conformance.py."""

from pathlib import Path

import torch
from lmkit_example.detector import Tiny


def test_score_maps_are_a_quarter_of_the_image() -> None:
    """In each direction, at whatever size."""
    assert Tiny(landmarks=5).score_maps(torch.rand(2, 3, 48, 64)).shape == (2, 5, 12, 16)


def test_it_starts_from_given_weights(tmp_path: Path) -> None:
    """Not when it is made, which also happens when a run is opened, but when a run starts."""
    torch.manual_seed(0)
    given = Tiny(landmarks=2, width=4)
    torch.save(given.state_dict(), tmp_path / "weights.pth")
    started = Tiny(landmarks=2, width=4, weights=tmp_path / "weights.pth")
    assert not torch.equal(started.layers[0].weight, given.layers[0].weight)
    started.initialise()
    assert torch.equal(started.layers[0].weight, given.layers[0].weight)
