import math

import pytest
import torch

from lmkit.geometry.coordinates import from_pixels
from lmkit.geometry.heatmaps import gaussian_heatmaps


def draw(pixel, height=9, width=12, sigma=0.5):
    point = from_pixels(torch.tensor([[pixel]], dtype=torch.float64), height, width)
    return gaussian_heatmaps(point, height, width, sigma)[0, 0]


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("step", [(0, 0), (1, 0), (0, 1), (-2, 1), (1, -3)])
def test_values_are_those_of_the_gaussian_in_pixels(sigma, step):
    x, y = step
    value = draw((5.0, 4.0), sigma=sigma)[4 + y, 5 + x].item()
    assert value == pytest.approx(math.exp(-(x**2 + y**2) / (2 * sigma**2)), rel=1e-9)


def test_the_peak_is_one_and_lies_at_the_point():
    heatmap = draw((7.0, 2.0))
    assert heatmap.max().item() == pytest.approx(1.0)
    assert divmod(heatmap.argmax().item(), 12) == (2, 7)


def test_a_point_between_pixels_lights_both():
    heatmap = draw((5.5, 4.0), sigma=1.0)
    expected = math.exp(-0.25 / 2)
    assert heatmap[4, 5].item() == pytest.approx(expected)
    assert heatmap[4, 6].item() == pytest.approx(expected)


def test_a_point_moved_by_a_pixel_moves_the_heatmap_by_a_pixel():
    torch.testing.assert_close(draw((4.0, 3.0))[:-1, :-1], draw((5.0, 4.0))[1:, 1:])


def test_every_point_has_a_map_of_its_own():
    points = torch.rand(2, 5, 2) * 2 - 1
    maps = gaussian_heatmaps(points, 8, 6, 1.0)
    assert maps.shape == (2, 5, 8, 6)
    torch.testing.assert_close(maps[1, 3], gaussian_heatmaps(points[1:, 3:4], 8, 6, 1.0)[0, 0])


def test_a_point_far_outside_leaves_nothing_and_no_nan():
    points = torch.full((1, 1, 2), 1e30, requires_grad=True)
    maps = gaussian_heatmaps(points, 8, 8)
    maps.sum().backward()
    assert maps.abs().max() == 0
    assert points.grad.isfinite().all()


def test_gradients_are_exact():
    points = torch.rand(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: gaussian_heatmaps(p, 5, 7, 1.0), points)


def test_half_precision_is_computed_in_float32():
    points = (torch.rand(2, 3, 2) * 2 - 1).to(torch.bfloat16)
    maps = gaussian_heatmaps(points, 16, 16)
    assert maps.dtype is torch.float32
    torch.testing.assert_close(maps, gaussian_heatmaps(points.float(), 16, 16), atol=0, rtol=0)


def test_autocast_changes_nothing():
    points = torch.rand(2, 3, 2) * 2 - 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = gaussian_heatmaps(points, 16, 16)
    torch.testing.assert_close(under, gaussian_heatmaps(points, 16, 16), atol=0, rtol=0)
