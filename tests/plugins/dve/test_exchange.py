"""The exchange of descriptors against the paper's formulas, written out as sums over pixels."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lmkit.api import AffineWarp, Landmarks, LmkitError, Step
from lmkit_dve.exchange import Exchange


def warp(batch: int, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> AffineWarp:
    ones = torch.ones(batch)
    return AffineWarp.from_similarity(ones * angle, ones, torch.tensor([shift] * batch))


def make_step(
    original: Tensor, deformed: Tensor, auxiliary: Tensor | None = None, warps: Any = None
) -> Step:
    views = {"original": original, "deformed": deformed}
    if auxiliary is not None:
        views["auxiliary"] = auxiliary
    batch = len(original)
    found = {view: Landmarks(torch.zeros(batch, 1, 2), features=f) for view, f in views.items()}
    first, second = warps or (warp(batch), warp(batch))
    return Step(0, {}, found, {"original": first, "deformed": second}, (), ())


def random_features(batch: int = 2, channels: int = 4, height: int = 3, width: int = 4) -> Tensor:
    return torch.randn(batch, channels, height, width)


def own_directions(side: int = 4) -> Tensor:
    """Return descriptors of one image that have nothing in common with one another."""
    return torch.eye(side * side).view(1, side * side, side, side)


def explicit(step: Step, *, scale: float, power: float, exchange: bool) -> float:
    """Return the loss as the paper writes it: sums over single pixels of single images."""
    total, count = 0.0, 0
    batch, _, height, width = step.landmarks["original"].features.shape
    cells = list(itertools.product(range(height), range(width)))
    places = {view: step.warps[view].sample_grid(height, width) for view in step.warps}

    def describe(view: str, b: int) -> list[Tensor]:
        found = step.landmarks[view].features[b]
        return [scale * found[:, y, x] / found[:, y, x].norm() for y, x in cells]

    def match(one: Tensor, others: list[Tensor]) -> list[float]:
        products = [math.exp(float(one @ other)) for other in others]
        return [product / sum(products) for product in products]

    for b in range(batch):
        others = describe("deformed", b)
        if "auxiliary" in step.landmarks:
            auxiliary = describe("auxiliary", b)
        else:
            auxiliary = describe("original", (b + 1) % batch)
        for one, (y, x) in zip(describe("original", b), cells, strict=True):
            u = places["original"][b, y, x]
            if u.abs().max() > 1:
                continue
            if exchange:
                shares = match(one, auxiliary)
                one = sum(p * other for p, other in zip(shares, auxiliary, strict=True))
            for p, (row, column) in zip(match(one, others), cells, strict=True):
                total += p * float((places["deformed"][b, row, column] - u).norm()) ** power
            count += 1
    return total / count


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("paired", [True, False])
def test_it_is_the_papers_formula(exchange: bool, paired: bool) -> None:
    torch.manual_seed(0)
    warps = warp(2, 0.3, (0.2, 0.0)), warp(2, -0.2, (0.0, 0.3))
    auxiliary = random_features() if paired else None
    step = make_step(random_features(), random_features(), auxiliary, warps)
    given = {"scale": 1.5, "power": 0.7, "exchange": exchange}
    expected = explicit(step, **given)
    assert Exchange(**given)(step).item() == pytest.approx(expected, rel=1e-5)


def test_pixels_found_where_they_are_cost_nothing() -> None:
    features = own_directions()
    step = make_step(features, features, features)
    assert Exchange()(step).item() == pytest.approx(0, abs=1e-6)


def test_pixels_that_follow_the_warp_cost_nothing() -> None:
    features = own_directions()
    # The deformed view shows the image half a side, two cells, further right.
    moved = features.roll(2, dims=3)
    step = make_step(features, moved, features, (warp(1), warp(1, shift=(1.0, 0.0))))
    cost = Exchange()(step).item()
    # Those that have left the view are found at its other edge, two half sides off.
    assert cost == pytest.approx(0.5 * math.sqrt(2), abs=1e-5)
    inside = make_step(features, moved, features, (warp(1, shift=(-1.0, 0.0)), warp(1)))
    # Here they were never shown: the original view repeats its edge.
    assert Exchange()(inside).item() == pytest.approx(0, abs=1e-6)


def test_where_the_other_image_has_its_descriptors_makes_no_difference() -> None:
    features = own_directions()
    mixed = features.flatten(2)[:, :, torch.randperm(16)].view_as(features)
    step = make_step(features, features, mixed)
    assert Exchange()(step).item() == pytest.approx(0, abs=1e-6)


def test_what_another_image_cannot_say_is_lost() -> None:
    features = own_directions()
    # The other image has descriptors of a kind of its own, as those of another person would be.
    turned = torch.linalg.qr(torch.randn(16, 16)).Q
    strange = torch.einsum("cd,bdhw->bchw", turned, features)
    step = make_step(features, features, strange)
    assert Exchange(exchange=False)(step).item() == pytest.approx(0, abs=1e-6)
    assert Exchange()(step).item() > 0.1


def test_pixels_that_are_all_alike_may_be_anywhere() -> None:
    even = torch.ones(1, 4, 3, 3)
    places = warp(1).sample_grid(3, 3).flatten(1, 2)
    expected = torch.cdist(places, places).sqrt().mean().item()
    assert Exchange()(make_step(even, even, even)).item() == pytest.approx(expected, rel=1e-5)


def test_the_length_of_descriptors_is_nothing() -> None:
    features, others = random_features(), random_features()
    loss = Exchange(scale=3.0)
    stretched = features * torch.rand(2, 1, 3, 4).add(0.5)
    torch.testing.assert_close(
        loss(make_step(features, others)), loss(make_step(stretched, others))
    )


def test_the_pairings_auxiliary_is_preferred_to_the_next_image() -> None:
    features, others = random_features(3), random_features(3)
    loss = Exchange(scale=3.0)
    alone = loss(make_step(features, others))
    torch.testing.assert_close(alone, loss(make_step(features, others, features[[1, 2, 0]])))
    assert not torch.isclose(alone, loss(make_step(features, others, features[[2, 0, 1]])))


@pytest.mark.parametrize("exchange", [True, False])
def test_gradients_are_those_of_finite_differences(exchange: bool) -> None:
    given = [random_features(2, 3, 2, 2).double().requires_grad_() for _ in range(2)]
    loss = Exchange(scale=2.0, exchange=exchange)
    bend = warp(2), warp(2, 0.2, (0.1, 0.0))
    assert torch.autograd.gradcheck(lambda *f: loss(make_step(*f, warps=bend)), given)


def test_features_in_half_precision_are_compared_in_float32() -> None:
    features = random_features().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Exchange()(make_step(features, features))
    assert found.dtype == torch.float32
    assert torch.equal(found, Exchange()(make_step(features.float(), features.float())))


def test_a_view_that_shows_nothing_of_the_image_costs_nothing() -> None:
    features = random_features(2)
    away = warp(2, shift=(9.0, 0.0))
    assert Exchange()(make_step(features, features, warps=(away, away))).item() == 0


def test_a_detector_without_features_is_refused() -> None:
    bare = dict.fromkeys(("original", "deformed"), Landmarks(torch.zeros(2, 1, 2)))
    step = Step(0, {}, bare, {"original": warp(2), "deformed": warp(2)}, (), ())
    with pytest.raises(LmkitError, match="descriptors of all pixels"):
        Exchange()(step)


def test_an_image_alone_is_refused_unless_nothing_is_exchanged() -> None:
    features = random_features(1)
    with pytest.raises(LmkitError, match="no other one to exchange") as caught:
        Exchange()(make_step(features, features))
    assert "exchange=false" in caught.value.remedy
    assert Exchange(exchange=False)(make_step(features, features)).isfinite()


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"power": -1.0}, {"scale": math.inf}])
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(LmkitError, match=rf"dve-exchange\.{next(iter(options))}="):
        Exchange(**options)
