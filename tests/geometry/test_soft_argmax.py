import pytest
import torch

from lmkit.geometry.coordinates import from_pixels, to_pixels
from lmkit.geometry.heatmaps import gaussian_heatmaps
from lmkit.geometry.soft_argmax import mean_position, soft_argmax, spatial_softmax


def peaks(height, width, *pixels):
    """Return a score map that is 0 but 100 at some (x, y) pixels, (1, 1, height, width)."""
    scores = torch.zeros(1, 1, height, width)
    for x, y in pixels:
        scores[0, 0, y, x] = 100.0
    return scores


@pytest.mark.parametrize("pixel", [(0, 0), (3, 2), (8, 0), (8, 5)])
def test_one_peak_is_found_at_its_pixels_centre(pixel):
    points = soft_argmax(peaks(6, 9, pixel))
    expected = torch.tensor([[pixel]], dtype=torch.float32)
    torch.testing.assert_close(to_pixels(points, 6, 9), expected, atol=1e-5, rtol=0)


def test_two_equal_peaks_are_found_half_way():
    points = soft_argmax(peaks(8, 8, (1, 2), (5, 4)))
    expected = torch.tensor([[[3.0, 3.0]]])
    torch.testing.assert_close(to_pixels(points, 8, 8), expected, atol=1e-5, rtol=0)


def test_peaks_weigh_as_the_softmax_says():
    scores = torch.full((1, 1, 1, 4), -1e4, dtype=torch.float64)
    scores[..., 0], scores[..., 3] = 0.1, 0.2
    share = torch.sigmoid(torch.tensor(10 * 0.1, dtype=torch.float64))
    x = to_pixels(soft_argmax(scores, beta=10.0), 1, 4)[0, 0, 0]
    torch.testing.assert_close(x, 3 * share)


def test_the_softmax_of_each_map_sums_to_1_and_is_as_its_formula_says():
    scores = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    maps = spatial_softmax(scores, beta=2.0)
    expected = (2 * scores).exp()
    torch.testing.assert_close(maps, expected / expected.sum(dim=(2, 3), keepdim=True))
    assert torch.equal(mean_position(maps), soft_argmax(scores, beta=2.0))


def test_an_even_map_is_found_at_the_centre_of_the_image():
    points = soft_argmax(torch.full((2, 3, 5, 7), 3.0))
    torch.testing.assert_close(points, torch.zeros(2, 3, 2), atol=1e-6, rtol=0)


def test_a_constant_added_to_all_scores_changes_nothing():
    scores = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(soft_argmax(scores + 7), soft_argmax(scores))


def test_mirrored_scores_give_mirrored_points():
    scores = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    mirrored = soft_argmax(scores.flip(-1))
    torch.testing.assert_close(
        mirrored, soft_argmax(scores) * torch.tensor([-1, 1], dtype=torch.float64)
    )


def test_a_heatmap_is_read_where_it_was_drawn():
    pixels = torch.tensor([[[12.0, 20.0], [15.5, 9.5], [16.25, 16.75]]])
    points = from_pixels(pixels, 32, 32)
    # The softmax of the log of a Gaussian is that Gaussian, whose mean is its middle.
    scores = gaussian_heatmaps(points, 32, 32, sigma=2.0).clamp_min(1e-30).log()
    found = to_pixels(soft_argmax(scores, beta=1.0), 32, 32)
    torch.testing.assert_close(found, pixels, atol=1e-3, rtol=0)


def test_large_scores_do_not_overflow():
    assert soft_argmax(peaks(4, 4, (1, 1)) * 1e30).isfinite().all()
    half = soft_argmax((peaks(4, 4, (1, 1)) * 600).to(torch.float16))
    torch.testing.assert_close(to_pixels(half, 4, 4), torch.ones(1, 1, 2), atol=1e-5, rtol=0)


def test_gradients_are_exact():
    scores = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: soft_argmax(s, 2.0), scores)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    scores = torch.randn(2, 3, 16, 16).to(dtype)
    assert soft_argmax(scores).dtype is torch.float32
    torch.testing.assert_close(soft_argmax(scores), soft_argmax(scores.float()), atol=0, rtol=0)


def test_autocast_changes_nothing():
    scores = torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = soft_argmax(scores)
    torch.testing.assert_close(under, soft_argmax(scores), atol=0, rtol=0)
