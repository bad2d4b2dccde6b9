import numpy as np
import pytest
import torch

from lmkit.geometry.coordinates import (
    from_pixels,
    normalise,
    pixel_centres,
    pixel_grid,
    spread,
    to_pixels,
)


def test_edges_and_centres_lie_where_align_corners_false_puts_them():
    points = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    pixels = to_pixels(points, height=4, width=10)
    assert pixels.tolist() == [[-0.5, -0.5], [4.5, 1.5], [9.5, 3.5]]


def test_x_goes_with_width_and_y_with_height():
    first_pixel, last_pixel = torch.tensor([[0.0, 0.0], [9.0, 3.0]])
    corner = torch.tensor([0.9, 0.75])
    torch.testing.assert_close(from_pixels(first_pixel, height=4, width=10), -corner)
    torch.testing.assert_close(from_pixels(last_pixel, height=4, width=10), corner)


@pytest.mark.parametrize("shape", [(2,), (5, 2), (3, 7, 2)])
def test_the_two_conversions_are_inverse(shape):
    points = torch.rand(shape, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(from_pixels(to_pixels(points, 33, 128), 33, 128), points)


def test_whole_numbers_and_half_precision_are_converted_in_float32():
    whole = from_pixels(torch.tensor([[3, 1]]), height=4, width=10)
    torch.testing.assert_close(whole, torch.tensor([[-0.3, -0.25]]))
    half = torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16)
    pixels = to_pixels(half, height=1001, width=1001)
    assert pixels.dtype is torch.float32
    torch.testing.assert_close(pixels, torch.tensor([[750.25, 625.125]]))


def test_pixel_centres_are_the_pixels_of_a_row():
    torch.testing.assert_close(pixel_centres(4), torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert pixel_centres(3, dtype=torch.float64).dtype is torch.float64


def test_the_grid_holds_x_and_y_of_every_pixel():
    grid = pixel_grid(3, 5, dtype=torch.float64)
    pixels = to_pixels(grid, 3, 5)
    for row in range(3):
        for column in range(5):
            torch.testing.assert_close(
                pixels[row, column], torch.tensor([column, row], dtype=torch.float64)
            )


def test_conversions_are_differentiable():
    points = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: to_pixels(p, 7, 9), points)
    assert torch.autograd.gradcheck(lambda p: from_pixels(p, 7, 9), points)


def test_arrays_and_tensors_are_converted_alike_to_the_last_bit():
    points = torch.rand(500, 2, dtype=torch.float64) * 2.4 - 1.2
    pixels = spread(points.numpy(), -0.5, 97 - 0.5)
    assert np.array_equal(pixels, to_pixels(points, 97, 97).numpy())
    back = normalise(pixels, -0.5, 97 - 0.5)
    assert np.array_equal(back, from_pixels(torch.from_numpy(pixels), 97, 97).numpy())


def test_edges_may_lie_anywhere():
    first, last = np.array([[10.0, 20.0]]), np.array([[14.0, 10.0]])
    places = spread(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]), first, last)
    assert places.tolist() == [[10, 20], [12, 15], [14, 10]]
    assert normalise(places, first, last).tolist() == [[-1, -1], [0, 0], [1, 1]]
