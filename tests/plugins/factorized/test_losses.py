"""Both losses against the paper's formulas, written out as sums over cells."""

import math

import pytest
import torch
from torch import Tensor

from lmkit.api import AffineWarp, Landmarks, LmkitError, Step, ThinPlateWarp, mean_position
from lmkit_factorized.losses import Diversity, Equivariance

IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def random_maps(batch=2, count=3, side=6) -> Tensor:
    return torch.randn(batch, count, side * side).mul(3).softmax(dim=2).view(-1, count, side, side)


def warp(batch=2, angle=0.0, scale=1.0, shift=(0.0, 0.0)) -> AffineWarp:
    ones = torch.ones(batch)
    return AffineWarp.from_similarity(ones * angle, ones * scale, torch.tensor([shift] * batch))


def make_step(original: Tensor, deformed: Tensor, *, warps=None) -> Step:
    found = {
        view: Landmarks(mean_position(maps), probability_maps=maps)
        for view, maps in (("original", original), ("deformed", deformed))
    }
    first, second = warps or (warp(len(original)), warp(len(original)))
    return Step(0, {}, found, {"original": first, "deformed": second}, (), ())


def one_hot(*cells: tuple[int, int], side=6) -> Tensor:
    """Return maps of one image, each landmark certainly in its (x, y) cell."""
    maps = torch.zeros(1, len(cells), side, side)
    for k, (x, y) in enumerate(cells):
        maps[0, k, y, x] = 1
    return maps


def test_equivariance_is_the_papers_double_sum():
    # x is the loaded image and x' is warped, as in the paper: g is where x' samples.
    maps, others, g = random_maps(), random_maps(), warp(angle=0.3, scale=1.2, shift=(0.2, -0.1))
    u = warp().sample_grid(6, 6).flatten(1, 2)
    gv = g.sample_points(u)
    squared = (u[:, :, None] - gv[:, None]).square().sum(dim=3)
    p, q = maps.flatten(2), others.flatten(2)
    expected = torch.einsum("bku,bkv,buv->bk", p, q, squared).mean()
    loss = Equivariance()(make_step(maps, others, warps=(warp(), g)))
    torch.testing.assert_close(loss, expected)


def test_equivariance_of_certain_landmarks_is_their_squared_distance():
    loss = Equivariance()(make_step(one_hot((1, 2), (4, 4)), one_hot((3, 2), (4, 4))))
    assert loss.item() == pytest.approx((2 * 2 / 6) ** 2 / 2)


def test_landmarks_that_follow_the_warp_cost_nothing():
    shift = (2 * 2 / 6, -2 / 6)  # Two cells to the right, one up.
    step = make_step(one_hot((1, 2)), one_hot((3, 1)), warps=(warp(1), warp(1, shift=shift)))
    assert Equivariance()(step).item() == pytest.approx(0, abs=1e-6)


def test_both_views_may_be_warped():
    bent = torch.randn(2, 25, 2) * 0.05
    line = torch.linspace(-1, 1, 5)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    maps, both = random_maps(), ThinPlateWarp(grid + bent)
    step = make_step(maps, maps, warps=(both, both))
    # The same map under the same warp: its own variance, twice, and no distance.
    places = both.sample_grid(6, 6).flatten(1, 2)
    mean = maps.flatten(2) @ places
    squared = (places[:, None] - mean[:, :, None]).square().sum(dim=3)
    expected = 2 * (maps.flatten(2) * squared).sum(dim=2).mean()
    torch.testing.assert_close(Equivariance()(step), expected)
    # In which of the views a landmark is found makes no difference.
    other = random_maps()
    there = make_step(maps, other, warps=(both, warp()))
    back = make_step(other, maps, warps=(warp(), both))
    torch.testing.assert_close(Equivariance()(there), Equivariance()(back))


def test_diversity_is_the_papers_formula():
    maps, others = random_maps(), random_maps()
    expected = 0.0
    for view in (maps, others):
        pooled = view.reshape(2, 3, 3, 2, 3, 2).sum(dim=(3, 5))
        expected += (3 - pooled.amax(dim=1).sum(dim=(1, 2))).mean()
    loss = Diversity(window=2)(make_step(maps, others))
    torch.testing.assert_close(loss, expected)


def test_diversity_does_not_depend_on_the_landmarks_order():
    maps = random_maps()
    loss = Diversity(window=2)
    swapped = maps[:, [2, 0, 1]]
    torch.testing.assert_close(loss(make_step(maps, maps)), loss(make_step(swapped, swapped)))


@pytest.mark.parametrize(
    ("cells", "window", "expected"),
    [
        (((0, 0), (5, 5), (0, 5)), 1, 0),
        (((2, 2), (2, 2), (2, 2)), 1, 2),
        (((0, 0), (1, 1), (5, 5)), 1, 0),
        (((0, 0), (1, 1), (5, 5)), 2, 1),
        (((3, 0), (4, 0), (5, 5)), 4, 0),
        (((4, 0), (5, 1), (5, 5)), 4, 1),
        (((1, 1),), 2, 0),
    ],
)
def test_each_landmark_that_shares_a_window_counts(cells, window, expected):
    maps = one_hot(*cells)
    # Summed over the two views; the last windows hold what cells are left.
    assert Diversity(window=window)(make_step(maps, maps)).item() == 2 * expected


def test_equal_maps_are_the_worst():
    maps = random_maps(count=1).expand(-1, 4, -1, -1)
    assert Diversity()(make_step(maps, maps)).item() == pytest.approx(2 * 3)


@pytest.mark.parametrize("loss", [Equivariance(), Diversity(window=2)])
def test_gradients_are_those_of_finite_differences(loss):
    scores = torch.randn(1, 2, 16, dtype=torch.float64, requires_grad=True)
    bend = warp(1, angle=0.2, shift=(0.1, 0.0))

    def value(scores):
        maps = scores.softmax(dim=2).view(1, 2, 4, 4)
        return loss(make_step(maps, maps.flip(3), warps=(warp(1), bend)))

    assert torch.autograd.gradcheck(value, scores)


def test_maps_in_half_precision_are_compared_in_float32():
    maps = random_maps().bfloat16()
    for loss in (Equivariance(), Diversity(window=2)):
        assert loss(make_step(maps, maps)).dtype == torch.float32


@pytest.mark.parametrize("loss", [Equivariance(), Diversity()])
def test_a_detector_without_probability_maps_is_refused(loss):
    bare = Landmarks(torch.zeros(1, 2, 2))
    views = ("original", "deformed")
    step = Step(0, {}, dict.fromkeys(views, bare), dict.fromkeys(views, warp(1)), (), ())
    with pytest.raises(LmkitError, match="probability maps"):
        loss(step)


def test_windows_that_make_no_sense_are_refused():
    with pytest.raises(LmkitError, match="holds no cell"):
        Diversity(window=0)
    maps = random_maps()
    with pytest.raises(LmkitError, match="covers all 6 x 6"):
        Diversity(window=6)(make_step(maps, maps))


def test_the_worst_distance_is_that_of_opposite_corners():
    step = make_step(one_hot((0, 0)), one_hot((5, 5)))
    assert math.sqrt(Equivariance()(step).item()) == pytest.approx(math.hypot(10 / 6, 10 / 6))
