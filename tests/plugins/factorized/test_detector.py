"""The detector: its shapes, its softmax, and what it refuses."""

import pytest
import torch

from lmkit.api import LmkitError, mean_position
from lmkit_factorized.detector import Factorized

NARROW = (4, 4, 4, 4, 4)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 24), (33, 35)])
def test_score_maps_are_half_of_the_image(height, width):
    scores = Factorized(landmarks=3, widths=NARROW).score_maps(torch.rand(2, 3, height, width))
    assert scores.shape == (2, 3, height // 2, width // 2)


def test_it_has_the_methods_size():
    detector = Factorized(landmarks=10)
    assert [layer[0].out_channels for layer in detector.layers] == [20, 48, 64, 80, 256, 10]
    assert sum(each.numel() for each in detector.parameters()) == 336_216


def test_a_cell_sees_54_pixels_and_no_more():
    detector = Factorized(landmarks=1, widths=NARROW).eval()
    for layer in detector.layers:
        torch.nn.init.ones_(layer[0].weight)  # Nothing is negative, so that no ReLU hides anything.
    images = torch.rand(1, 3, 96, 96, requires_grad=True)
    # The pooling hands on one of two pixels: summed over shifts of the image, all are met.
    seen = torch.zeros(96, dtype=torch.bool)
    for _ in range(12):
        (slope,) = torch.autograd.grad(detector.score_maps(images)[0, 0, 24, 24], images)
        seen |= slope.abs().sum(dim=(0, 1, 2)) > 0
        images = torch.rand(1, 3, 96, 96, requires_grad=True)
    columns = seen.nonzero().flatten()
    assert columns[-1] - columns[0] + 1 == 54


def test_the_softmax_is_of_the_scores_themselves():
    found = Factorized(landmarks=3, widths=NARROW).eval()(torch.rand(2, 3, 16, 16))
    expected = found.score_maps.flatten(2).softmax(dim=2).view(2, 3, 8, 8)
    torch.testing.assert_close(found.probability_maps, expected)
    torch.testing.assert_close(found.points, mean_position(expected))


def test_an_even_image_tells_no_cell_from_another_where_the_edge_is_repeated():
    even = torch.full((1, 3, 32, 32), 0.3)
    for padding, flat in (("replicate", True), ("zeros", False)):
        detector = Factorized(landmarks=2, widths=NARROW, padding=padding).train()
        with torch.no_grad():
            x = detector.layers[0][0](even)
        assert bool((x - x.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-5) is flat


@pytest.mark.parametrize(
    ("options", "named"),
    [({"widths": (4, 4, 0, 4, 4)}, "detector.widths"), ({"beta": 0.0}, "detector.beta")],
)
def test_what_makes_no_sense_is_refused(options, named):
    with pytest.raises(LmkitError, match=named):
        Factorized(landmarks=2, **options)
