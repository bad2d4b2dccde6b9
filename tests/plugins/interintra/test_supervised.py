"""The losses against annotated points, in closed form."""

import math

import pytest
import torch
from torch import Tensor

from lmkit.api import Landmarks, LmkitError, Step, gaussian_heatmaps, soft_argmax
from lmkit_interintra.supervised import HeatmapRegression, PointRegression

NAN = math.nan


def record(
    original: Landmarks, deformed: Landmarks, true_original: Tensor, true_deformed: Tensor
) -> Step:
    return Step(
        number=0,
        views={},
        landmarks={"original": original, "deformed": deformed},
        warps={},
        routes=(),
        stages=(),
        truth={"original": true_original, "deformed": true_deformed},
    )


def scored(scores: Tensor) -> Landmarks:
    return Landmarks(soft_argmax(scores), scores)


def test_both_learn_from_truth_and_need_no_route() -> None:
    for loss in (HeatmapRegression, PointRegression):
        assert loss.needs_truth
        assert not loss.needs_routes


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0])
def test_perfect_score_maps_cost_nothing(sigma: float) -> None:
    first, second = torch.rand(2, 3, 4, 2) * 2 - 1
    maps = [scored(gaussian_heatmaps(points, 12, 12, sigma)) for points in (first, second)]
    assert HeatmapRegression(sigma=sigma)(record(*maps, first, second)) == 0


def test_empty_score_maps_cost_the_mean_square_of_a_gaussian() -> None:
    # Far from the edge the squares of a Gaussian sum to pi sigma^2, wherever its centre lies.
    points = torch.tensor([[[0.013, -0.021]], [[0.1, 0.2]]])
    empty = scored(torch.zeros(2, 1, 32, 32))
    loss = HeatmapRegression(sigma=1.5)(record(empty, empty, points, points))
    assert loss.item() == pytest.approx(math.pi * 1.5**2 / 32**2, rel=1e-4)


def test_a_constant_error_costs_its_square_wherever_points_are_known() -> None:
    truth = torch.rand(2, 3, 2) - 0.5
    maps = gaussian_heatmaps(truth, 8, 8, 1.0)
    wrong = maps + 0.5
    wrong[0, 1] = 100.0
    one_unknown = truth.clone()
    one_unknown[0, 1] = NAN
    # Five of the twelve maps are known and wrong, six known and right.
    loss = HeatmapRegression()(record(scored(wrong), scored(maps), one_unknown, truth))
    assert loss.item() == pytest.approx(0.5**2 * 5 / 11)


def test_distances_are_squared_and_averaged_over_the_known_points() -> None:
    truth = torch.tensor([[[0.0, 0.0], [0.5, 0.5]], [[NAN, NAN], [0.1, -0.2]]])
    found = torch.tensor([[[0.3, 0.4], [0.5, 0.5]], [[0.9, 0.9], [0.1, 0.3]]])
    nothing = torch.full_like(truth, NAN)
    step = record(Landmarks(found), Landmarks(found), truth, nothing)
    assert PointRegression()(step).item() == pytest.approx((0.25 + 0 + 0.25) / 3)


def test_where_nothing_is_known_nothing_is_learned() -> None:
    scores = torch.rand(2, 3, 8, 8, requires_grad=True)
    nothing = torch.full((2, 3, 2), NAN)
    step = record(scored(scores), scored(scores), nothing, nothing)
    for loss in (HeatmapRegression(), PointRegression()):
        value = loss(step)
        value.backward()
        assert value == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_gradients_reach_the_maps_and_points_that_are_known_and_no_others() -> None:
    scores = torch.rand(2, 3, 8, 8, requires_grad=True)
    truth = torch.rand(2, 3, 2) - 0.5
    truth[1, 2] = NAN
    for loss in (HeatmapRegression(), PointRegression()):
        scores.grad = None
        loss(record(scored(scores), scored(scores), truth, truth)).backward()
        assert scores.grad is not None
        reached = scores.grad.flatten(2).abs().sum(dim=2) > 0
        assert torch.equal(reached, truth.isfinite().all(dim=2))


def test_half_precision_maps_are_compared_in_float32() -> None:
    truth = torch.zeros(1, 1, 2)
    maps = scored((gaussian_heatmaps(truth, 8, 8, 1.0) + 0.25).bfloat16())
    loss = HeatmapRegression()(record(maps, maps, truth, truth))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.0625, rel=1e-2)


def test_a_detector_without_score_maps_is_told_of_the_other_loss() -> None:
    bare, truth = Landmarks(torch.zeros(1, 2, 2)), torch.zeros(1, 2, 2)
    step = record(bare, bare, truth, truth)
    with pytest.raises(LmkitError, match="this detector returns none") as caught:
        HeatmapRegression()(step)
    assert "--loss points" in caught.value.remedy
    assert PointRegression()(step) == 0


def test_another_number_of_landmarks_than_points_is_refused() -> None:
    three, truth = scored(torch.zeros(1, 3, 4, 4)), torch.zeros(1, 5, 2)
    step = record(three, three, truth, truth)
    for loss in (HeatmapRegression(), PointRegression()):
        with pytest.raises(LmkitError, match="3 landmarks for 5 points") as caught:
            loss(step)
        assert "--landmarks 5" in caught.value.remedy


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf])
def test_a_gaussian_without_width_is_refused(sigma: float) -> None:
    with pytest.raises(LmkitError, match=r"loss\.heatmap\.sigma"):
        HeatmapRegression(sigma=sigma)
