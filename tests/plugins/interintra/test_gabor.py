"""The loss of Gabor filters sees edges, faint ones too, and needs no weights."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lmkit.api import Landmarks, LmkitError, Route, Step
from lmkit_interintra.gabor import Gabor, gabor_filters


def step_of(end: Tensor, real: Tensor, routes: int = 1) -> Step:
    """A step whose routes all end in ``end`` and are compared with ``real``."""
    route = Route("original", (), "deformed")
    views = {"original": real, "deformed": real}
    landmarks = Landmarks(torch.zeros(len(real), 2, 2))
    found = {"original": landmarks, "deformed": landmarks}
    return Step(0, views, found, {}, (route,) * routes, ((end,),) * routes)


def stripes(contrast: float, angle: float = 0.0, phase: float = 0.0) -> Tensor:
    """Grey stripes of four pixels a wave, (1, 3, 32, 32)."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    turned = x * torch.cos(torch.tensor(angle)) + y * torch.sin(torch.tensor(angle))
    return (0.5 + contrast * torch.sin(torch.pi / 2 * turned + phase)).expand(1, 3, 32, 32)


def test_filters_come_in_pairs_and_answer_nothing_to_flat_images() -> None:
    filters = gabor_filters(4)
    assert filters.shape == (8, 1, 7, 7)
    assert filters.sum(dim=(2, 3)).abs().max() < 1e-6
    torch.testing.assert_close(filters[:4], filters[:4].flip(2, 3))
    torch.testing.assert_close(filters[4:], -filters[4:].flip(2, 3))


def test_each_orientation_answers_to_its_own_stripes() -> None:
    loss = Gabor()
    for number in range(4):
        energies = loss.energies(stripes(0.3, angle=torch.pi * number / 4))
        assert energies[..., 8:24, 8:24].mean(dim=(0, 1, 3, 4)).argmax() == number


def test_the_energy_of_stripes_does_not_depend_on_where_they_are() -> None:
    loss = Gabor()
    here, there = (
        loss.energies(stripes(0.3, phase=phase))[:, :, 0, 8:24, 8:24] for phase in (0, 1.2)
    )
    torch.testing.assert_close(here, there, rtol=0.1, atol=0.05)
    assert here.mean() > 0.5


def test_each_colour_is_compared_by_itself() -> None:
    loss, grey = Gabor(scales=1), torch.full((1, 3, 32, 32), 0.5)
    one = grey.clone()
    one[:, 1] = stripes(0.3)[:, 1]
    energies = loss.energies(one)
    assert energies[:, 1].max() > 10 * energies[:, [0, 2]].max()
    torch.testing.assert_close(
        3 * loss(step_of(grey, one)), loss(step_of(grey, stripes(0.3))), rtol=1e-4, atol=1e-5
    )


def test_faint_edges_count_nearly_as_much_as_strong_ones_and_noise_little() -> None:
    loss, flat = Gabor(scales=1), torch.full((1, 3, 32, 32), 0.5)
    strong, faint, noise = (
        float(loss(step_of(flat, stripes(contrast)))) for contrast in (0.4, 0.1, 0.002)
    )
    assert 0.4 * strong < faint < strong
    assert noise < 0.02 * strong


def test_equal_images_cost_nothing_and_routes_add_up() -> None:
    torch.manual_seed(0)
    loss, images, others = Gabor(), torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40)
    assert loss(step_of(images, images)) == 0
    one, two = loss(step_of(images, others)), loss(step_of(images, others, routes=2))
    torch.testing.assert_close(two, 2 * one)


def test_images_may_be_compared_at_half_their_resolution() -> None:
    torch.manual_seed(0)
    images, others = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    halves = [torch.nn.functional.avg_pool2d(each, 2) for each in (images, others)]
    half = Gabor(shrink=2, scales=2)(step_of(images, others))
    torch.testing.assert_close(half, Gabor(scales=2)(step_of(*halves)))


@pytest.mark.parametrize("size", [16, 18, 33])
def test_it_is_differentiable_for_images_of_any_size_and_where_they_are_flat(size: int) -> None:
    end = torch.full((2, 3, size, size), 0.5, requires_grad=True)
    Gabor()(step_of(end, torch.rand(2, 3, size, size))).backward()
    assert end.grad is not None
    assert end.grad.isfinite().all()
    assert end.grad.abs().max() > 0


def test_it_stays_float32_under_autocast_and_saves_nothing() -> None:
    loss, images = Gabor(), torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = loss(step_of(images, images.flip(3)))
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, loss(step_of(images, images.flip(3))))
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    "option", [{"orientations": 0}, {"scales": 0}, {"shrink": 0}, {"contrast": 0.0}]
)
def test_options_that_cannot_work_are_refused(option: dict[str, Any]) -> None:
    ((name, value),) = option.items()
    with pytest.raises(LmkitError, match=rf"loss\.gabor\.{name}={value}"):
        Gabor(**option)
