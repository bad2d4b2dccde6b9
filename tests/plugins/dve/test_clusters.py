"""Equal shares, and filters that become the centres of what is there."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lmkit.api import Landmarks, LmkitError, Step
from lmkit_dve.clusters import Clusters, equal_shares


def make_step(original: Tensor, deformed: Tensor) -> Step:
    """Return a step whose views have these score maps, (B, K, h, w)."""
    points = torch.zeros(len(original), original.shape[1], 2)
    found = {
        "original": Landmarks(points, score_maps=original, features=original),
        "deformed": Landmarks(points, score_maps=deformed, features=deformed),
    }
    return Step(0, {}, found, {}, (), ())


def test_each_pixel_is_shared_out_whole_and_landmarks_get_equally_much() -> None:
    torch.manual_seed(0)
    shares = equal_shares(torch.randn(5, 400) + 3 * torch.randn(5, 1), 0.5)
    assert shares.min() >= 0
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(400))
    torch.testing.assert_close(shares.sum(dim=1), torch.full((5,), 80.0), atol=2, rtol=0)


def test_shares_go_to_those_who_want_them_most() -> None:
    # The first landmark scores higher for every pixel, but by least for the last two.
    scores = torch.tensor([[9.0, 8.0, 5.0, 4.0], [1.0, 1.0, 3.0, 3.0]])
    expected = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(equal_shares(scores, 0.2), expected, atol=0.05, rtol=0)


def test_only_differences_between_landmarks_and_pixels_count() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 60)
    other = 7 * (scores + torch.randn(4, 1) + torch.randn(1, 60))
    torch.testing.assert_close(
        equal_shares(scores, 0.5), equal_shares(other, 0.5), atol=0.05, rtol=0
    )


def test_equal_scores_are_shared_equally() -> None:
    torch.testing.assert_close(equal_shares(torch.ones(4, 6), 0.2), torch.full((4, 6), 0.25))


def test_the_loss_is_the_mean_distance_of_pixels_from_their_landmarks() -> None:
    torch.manual_seed(0)
    original, deformed = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    pixels = torch.cat([view.permute(0, 2, 3, 1).reshape(-1, 3) for view in (original, deformed)])
    shares = equal_shares(pixels.T, 0.3).T
    expected = sum(float(p @ (1 - s)) for p, s in zip(shares, pixels, strict=True)) / len(pixels)
    loss = Clusters(blur=0.3)(make_step(original, deformed))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_pixels_that_are_their_landmarks_filters_cost_nothing() -> None:
    quarters = torch.eye(4).view(1, 4, 2, 2)
    assert Clusters()(make_step(quarters, quarters)).item() == pytest.approx(0, abs=1e-3)


def test_a_single_landmark_has_all_pixels() -> None:
    maps = torch.rand(2, 1, 3, 3)
    expected = 1 - maps.mean()
    torch.testing.assert_close(Clusters()(make_step(maps, maps)), expected)


def test_no_landmark_falls_out_of_use() -> None:
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 8, 8) * 0.1
    maps[:, 2] -= 1  # Nobody is close to the third one.
    maps.requires_grad_()
    Clusters(blur=0.5)(make_step(maps, maps)).backward()
    assert maps.grad is not None
    pull = maps.grad.sum(dim=(0, 2, 3))
    torch.testing.assert_close(pull, torch.full((3,), -1 / 3), atol=0.02, rtol=0)


def test_filters_that_start_side_by_side_become_the_centres_of_what_is_there() -> None:
    torch.manual_seed(0)
    centres = functional.normalize(torch.randn(4, 8), dim=1)
    features = functional.normalize(centres.repeat(20, 1) + 0.05 * torch.randn(80, 8), dim=1)
    filters = torch.randn(1, 8) + 0.1 * torch.randn(4, 8)
    for _ in range(60):
        filters.requires_grad_()
        scores = (functional.normalize(filters, dim=1) @ features.T).view(1, 4, 8, 10)
        (slope,) = torch.autograd.grad(Clusters()(make_step(scores, scores)), filters)
        filters = functional.normalize(filters.detach() - slope, dim=1)
    nearest = (filters @ centres.T).max(dim=1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2, 3]
    assert nearest.values.min() > 0.98


def test_scores_in_half_precision_are_compared_in_float32() -> None:
    maps = torch.randn(2, 3, 4, 4).bfloat16()
    assert Clusters()(make_step(maps, maps)).dtype == torch.float32


@pytest.mark.parametrize("lacking", ["score_maps", "features"])
def test_a_detector_without_descriptors_is_refused(lacking: str) -> None:
    maps = torch.rand(2, 3, 4, 4)
    step = make_step(maps, maps)
    bare = {view: replace(found, **{lacking: None}) for view, found in step.landmarks.items()}
    with pytest.raises(LmkitError, match="cosines of descriptors"):
        Clusters()(replace(step, landmarks=bare))


def test_a_blur_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(LmkitError, match=r"dve-clusters\.blur=0"):
        Clusters(blur=0.0)
