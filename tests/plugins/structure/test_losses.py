"""The constraints against their closed forms."""

import math

import pytest
import torch
from torch import Tensor

from lmkit.api import AffineWarp, Landmarks, LmkitError, Step, Warp, mean_position
from lmkit_structure.losses import Concentration, Equivariance, Separation


def make_step(
    original: Landmarks, deformed: Landmarks | None = None, warps: tuple[Warp, Warp] | None = None
) -> Step:
    still = AffineWarp(torch.eye(2, 3).expand(len(original), 2, 3))
    found = {"original": original, "deformed": original if deformed is None else deformed}
    moved = warps or (still, still)
    return Step(0, {}, found, {"original": moved[0], "deformed": moved[1]}, (), ())


def with_maps(maps: Tensor) -> Landmarks:
    return Landmarks(mean_position(maps), probability_maps=maps)


def at(*places: tuple[float, float]) -> Landmarks:
    return Landmarks(torch.tensor([places]))


def single_pixels(*places: tuple[int, int], side: int = 12) -> Tensor:
    maps = torch.zeros(1, len(places), side, side)
    for k, (x, y) in enumerate(places):
        maps[0, k, y, x] = 1
    return maps


def test_a_single_pixel_costs_nothing_and_a_uniform_map_most() -> None:
    loss = Concentration()
    assert loss(make_step(with_maps(single_pixels((2, 3), (11, 0))))).item() < 1e-6
    uniform = torch.full((1, 2, 12, 12), 1 / 144)
    # The variance of 12 places side by side on a side of 1.
    variance = (1 - 1 / 144) / 12
    wanted = 2 * 2 * math.pi * math.e * variance
    assert loss(make_step(with_maps(uniform))).item() == pytest.approx(wanted, rel=1e-5)


def test_concentration_is_the_exponential_of_a_gaussian_s_entropy() -> None:
    line = (torch.arange(60.0) + 0.5) / 60
    x = torch.exp(-((line - 0.5) ** 2) / (2 * 0.06**2))
    y = torch.exp(-((line - 0.4) ** 2) / (2 * 0.10**2))
    maps = (y[:, None] * x)[None, None]
    maps = maps / maps.sum()
    # Isotropic: the mean of both standard deviations.
    wanted = math.exp(math.log(2 * math.pi * math.e * 0.08**2))
    assert Concentration()(make_step(with_maps(maps))).item() == pytest.approx(wanted, rel=0.01)


def test_concentration_does_not_care_where() -> None:
    loss, here = Concentration(), torch.zeros(1, 1, 20, 20)
    here[0, 0, 4:7, 5:8] = 1 / 9
    there = here.roll((9, 8), dims=(2, 3))
    first, second = (loss(make_step(with_maps(maps))).item() for maps in (here, there))
    assert first == pytest.approx(second, rel=1e-4)


def test_concentration_draws_a_map_together() -> None:
    scores = torch.zeros(1, 1, 9, 9, requires_grad=True)
    maps = scores.flatten(2).softmax(dim=2).unflatten(2, (9, 9))
    Concentration()(make_step(with_maps(maps))).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 4, 4] < 0 < scores.grad[0, 0, 0, 0]


def test_concentration_of_single_pixels_has_a_finite_slope() -> None:
    maps = single_pixels((2, 3)).requires_grad_()
    Concentration()(make_step(with_maps(maps))).backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_a_detector_without_probability_maps_is_told_of_those_with() -> None:
    with pytest.raises(LmkitError, match="this detector returns none") as caught:
        Concentration()(make_step(at((0.0, 0.0))))
    assert "hourglass" in caught.value.remedy


def test_separation_counts_every_ordered_pair() -> None:
    together = make_step(at((0.3, 0.1), (0.3, 0.1), (0.3, 0.1)))
    assert Separation()(together).item() == pytest.approx(6)
    # 0.16 half sides are 0.08 sides.
    apart = make_step(at((0.0, 0.0), (0.16, 0.0)))
    assert Separation()(apart).item() == pytest.approx(2 * math.exp(-0.5), rel=1e-5)
    assert Separation(distance=0.16)(apart).item() == pytest.approx(2 * math.exp(-1 / 8), rel=1e-5)
    assert Separation()(make_step(at((0.5, 0.5)))).item() == 0


def test_separation_averages_over_both_views() -> None:
    near, far = at((0.0, 0.0), (0.0, 0.0)), at((-1.0, 0.0), (1.0, 0.0))
    assert Separation()(make_step(near, far)).item() == pytest.approx(1)


def test_separation_pushes_apart() -> None:
    points = torch.tensor([[[0.0, 0.0], [0.1, 0.0]]], requires_grad=True)
    Separation()(make_step(Landmarks(points))).backward()
    assert points.grad is not None
    assert points.grad[0, 0, 0] > 0 > points.grad[0, 1, 0]


@pytest.mark.parametrize("distance", [0.0, -0.1, math.nan, math.inf])
def test_a_distance_that_separates_nothing_is_refused(distance: float) -> None:
    with pytest.raises(LmkitError, match=r"loss\.structure-separation\.distance"):
        Separation(distance=distance)


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> AffineWarp:
    return AffineWarp.from_similarity(
        torch.tensor([angle]), torch.tensor([scale]), torch.tensor([shift])
    )


def test_landmarks_that_move_as_the_image_does_cost_nothing() -> None:
    loaded = torch.rand(1, 5, 2) - 0.5
    warps = similarity(0.2, 0.9, (0.1, 0.0)), similarity(-0.4, 1.1, (0.0, 0.2))
    found = [Landmarks(warp.map_points(loaded)) for warp in warps]
    assert Equivariance()(make_step(found[0], found[1], warps)).item() < 1e-10


def test_equivariance_is_the_squared_distance_in_the_original_view() -> None:
    warps = similarity(0.0, 1.0, (0.0, 0.0)), similarity(0.0, 2.0, (0.0, 0.0))
    # In a view twice as large, 0.2 is 0.1.
    step = make_step(at((0.0, 0.0), (0.1, 0.0)), at((0.2, 0.0), (0.2, 0.4)), warps)
    assert Equivariance()(step).item() == pytest.approx(0.1**2 + 0.2**2, rel=1e-5)


def test_equivariance_teaches_both_views() -> None:
    found = [torch.rand(1, 3, 2, requires_grad=True) for _ in range(2)]
    Equivariance()(make_step(Landmarks(found[0]), Landmarks(found[1]))).backward()
    assert all(points.grad is not None and points.grad.all() for points in found)
