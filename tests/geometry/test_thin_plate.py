import pytest
import torch

from lmkit.geometry.thin_plate import (
    grid_basis,
    kernel_slopes,
    spline_basis,
    spline_system,
)

CPU, DOUBLE = torch.device("cpu"), torch.float64


def test_control_points_are_a_grid_row_by_row_with_its_corners():
    control = spline_system(3, CPU, DOUBLE).control
    assert control[:4].tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 0]]
    assert control[-1].tolist() == [1, 1]


@pytest.mark.parametrize("side", [2, 5, 10])
def test_the_spline_goes_through_its_values(side):
    system = spline_system(side, CPU, DOUBLE)
    through = spline_basis(system.control, system.control) @ system.solve
    torch.testing.assert_close(through, torch.eye(side**2, dtype=DOUBLE), atol=1e-10, rtol=0)


@pytest.mark.parametrize("side", [2, 5, 10])
def test_kernel_weights_carry_no_affine_part(side):
    """The side conditions that make the spline unique and its bending energy finite."""
    system = spline_system(side, CPU, DOUBLE)
    moments = spline_basis(system.control, system.control)[:, -3:].T @ system.solve[:-3]
    torch.testing.assert_close(moments, torch.zeros_like(moments), atol=1e-9, rtol=0)


def test_an_affine_map_is_fitted_exactly_and_bends_nothing():
    system = spline_system(4, CPU, DOUBLE)
    affine = torch.tensor([[0.3, -0.2], [1.1, 0.4], [-0.5, 0.9]], dtype=DOUBLE)
    values = torch.cat((torch.ones(16, 1, dtype=DOUBLE), system.control), dim=1) @ affine
    torch.testing.assert_close(system.fit @ values, affine)
    weights = system.solve @ values
    torch.testing.assert_close(weights[-3:], affine)
    torch.testing.assert_close(weights[:-3], torch.zeros(16, 2, dtype=DOUBLE), atol=1e-12, rtol=0)


def test_the_kernel_is_r2_log_r2():
    control = torch.zeros(1, 2, dtype=DOUBLE)
    basis = spline_basis(torch.tensor([[0.3, 0.4]], dtype=DOUBLE), control)
    squared = torch.tensor(0.25, dtype=DOUBLE)
    torch.testing.assert_close(basis[0, 0], squared * squared.log())
    torch.testing.assert_close(basis[0, 1:], torch.tensor([1, 0.3, 0.4], dtype=DOUBLE))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("away", [0.0, 1e-30, 1e-12, 1e-6])
def test_at_a_control_point_kernel_and_slope_vanish_smoothly(dtype, away):
    control = torch.zeros(1, 2, dtype=dtype)
    point = torch.tensor([[away, 0.0]], dtype=dtype, requires_grad=True)
    kernel = spline_basis(point, control)[0, 0]
    (slope,) = torch.autograd.grad(kernel, point)
    # r^2 |log r^2| and its derivative, with room for rounding.
    assert kernel.abs() <= 120 * away**2 + 1e-37
    assert slope.isfinite().all()
    assert slope.abs().max() <= 400 * away
    assert kernel_slopes(point, control).abs().max() <= 400 * away


def test_slopes_are_the_derivative_of_the_kernels():
    control = spline_system(3, CPU, DOUBLE).control
    point = torch.tensor([[0.21, -0.37]], dtype=DOUBLE)
    jacobian = torch.autograd.functional.jacobian(lambda p: spline_basis(p, control)[0, :-3], point)
    torch.testing.assert_close(kernel_slopes(point, control)[0], jacobian[:, 0])


def test_what_is_kept_serves_training_even_if_first_made_in_inference():
    spline_system.cache_clear()
    grid_basis.cache_clear()
    with torch.inference_mode():
        system, basis = spline_system(3, CPU, DOUBLE), grid_basis(3, 4, 4, CPU, DOUBLE)
    values = torch.rand(9, 2, dtype=DOUBLE, requires_grad=True)
    ((system.solve @ values).sum() + (basis @ values).sum()).backward()
    assert values.grad.isfinite().all()
