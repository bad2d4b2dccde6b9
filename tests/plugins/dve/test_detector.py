"""The detector: descriptors of every position, filters compared with them, and what it refuses."""

from typing import Any

import pytest
import torch

from lmkit.api import LmkitError, mean_position, spatial_softmax, to_pixels
from lmkit_dve.detector import DescriptorDetector


def small(**options: Any) -> DescriptorDetector:
    torch.manual_seed(0)
    given = {"landmarks": 3, "image_size": 16, "descriptor": 5, "width": 4, "depth": 1, "blocks": 1}
    return DescriptorDetector(**(given | options))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (24, 32)])
def test_every_second_pixel_gets_a_descriptor_of_length_one(height: int, width: int) -> None:
    found = small()(torch.rand(2, 3, height, width))
    assert found.features.shape == (2, 5, height // 2, width // 2)
    torch.testing.assert_close(found.features.norm(dim=1), torch.ones(2, height // 2, width // 2))


def test_scores_are_cosines_and_landmarks_the_means_under_their_softmax() -> None:
    detector = small(beta=7.0).eval()
    found = detector(torch.rand(2, 3, 16, 16))
    cosines = torch.cosine_similarity(
        detector.filters[None, :, :, None, None], found.features[:, None], dim=2
    )
    torch.testing.assert_close(found.score_maps, cosines)
    maps = spatial_softmax(cosines, 7.0)
    torch.testing.assert_close(found.probability_maps, maps)
    torch.testing.assert_close(found.points, mean_position(maps))


def test_a_filter_that_is_a_positions_descriptor_finds_that_position() -> None:
    detector, images = small(beta=1e4), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        detector.filters[1] = 3 * detector(images).features[0, :, 2, 5]  # The length is nothing.
        points = to_pixels(detector(images).points, 8, 8)
    torch.testing.assert_close(points[0, 1], torch.tensor([5.0, 2.0]), atol=0.05, rtol=0)


def test_it_has_the_authors_size() -> None:
    with torch.device("meta"):
        detector = DescriptorDetector(landmarks=50, image_size=96)
    network = sum(p.numel() for p in detector.network.parameters())
    assert network == pytest.approx(12.6e6, rel=1e-3)
    assert detector.filters.shape == (50, 64)


@pytest.mark.parametrize("detached", [True, False])
def test_detached_landmarks_train_the_filters_alone(detached: bool) -> None:
    detector = small(detached=detached)
    found = detector(torch.rand(2, 3, 16, 16))
    random = torch.rand_like(found.points)
    (found.points * random).sum().backward(retain_graph=True)
    assert detector.filters.grad.abs().max() > 0
    first = detector.network[0].weight
    assert (first.grad is None) is detached
    detector.zero_grad()
    (found.features * torch.rand_like(found.features)).sum().backward()
    assert first.grad.abs().max() > 0  # Descriptors always do.
    assert detector.filters.grad is None


def test_an_even_image_tells_no_position_from_another_where_the_edge_is_repeated() -> None:
    even = torch.full((1, 3, 16, 16), 0.3)
    for padding, flat in (("replicate", True), ("zeros", False)):
        features = small(padding=padding).eval()(even).features
        assert bool((features - features[:, :, :1, :1]).abs().max() < 1e-5) is flat


def test_far_pixels_are_seen_through_the_hourglass() -> None:
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    reach = []
    for depth in (1, 2, 3):
        features = small(image_size=64, depth=depth).eval()(images).features
        (slope,) = torch.autograd.grad(features[0, 0, 16, 16], images)
        reach.append(int((slope.abs().sum(dim=(0, 1, 2)) > 0).sum()))
    assert reach[0] < reach[1] < reach[2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 6}, r"detector\.width=6"),
        ({"width": 0}, r"detector\.width=0"),
        ({"depth": 0}, r"detector\.depth=0"),
        ({"blocks": 0}, r"detector\.blocks=0"),
        ({"descriptor": 0}, r"detector\.descriptor=0"),
        ({"beta": 0.0}, r"detector\.beta=0\.0"),
        ({"image_size": 18}, r"18 x 18 pixels cannot be halved 2 times"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        small(**options)


def test_images_it_cannot_halve_are_refused_with_the_sizes_that_fit() -> None:
    with pytest.raises(LmkitError, match="20 x 18 pixels") as caught:
        small()(torch.rand(1, 3, 18, 20))
    assert "a multiple of 4" in caught.value.remedy
