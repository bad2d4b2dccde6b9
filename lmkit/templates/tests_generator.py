"""What is special about the generator; the rest is checked in test_conformance.py."""

import torch
from my_plugin.generator import Painter

from lmkit.api import Landmarks


def test_a_moved_landmark_changes_the_image_around_it_and_nowhere_else() -> None:
    """The convolutions look so far and no further."""
    torch.manual_seed(0)
    generator = Painter(landmarks=1, width=4).eval()
    image = torch.rand(1, 3, 128, 128)
    places = [Landmarks(torch.tensor([[[x, -0.8]]])) for x in (-0.8, -0.7)]
    with torch.no_grad():
        one, other = (generator(image, place, place) for place in places)
    changed = (one - other).abs().amax(dim=1)[0] > 1e-6
    assert changed[:40, :40].any()
    assert not changed[64:].any()
    assert not changed[:, 64:].any()
