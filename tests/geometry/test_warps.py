import math

import pytest
import torch
from torch.nn import functional

from lmkit.geometry.coordinates import from_pixels, pixel_grid, to_pixels
from lmkit.geometry.heatmaps import gaussian_heatmaps
from lmkit.geometry.warps import AffineWarp, ThinPlateWarp, Warp

DOUBLE = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def control_points(side, dtype=torch.float32):
    line = torch.linspace(-1, 1, side, dtype=dtype)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(1, -1, 2)


def similarity(*, degrees=0.0, scale=1.0, shift=(0.0, 0.0), dtype=torch.float32):
    return AffineWarp.from_similarity(
        torch.tensor([math.radians(degrees)], dtype=dtype),
        torch.tensor([scale], dtype=dtype),
        torch.tensor([shift], dtype=dtype),
    )


def shear(dtype=torch.float32):
    return AffineWarp(
        torch.tensor([[[1.1, 0.3, 0.1], [-0.2, 0.8, -0.15]]], dtype=dtype).expand(2, 2, 3)
    )


def bend(strength=0.02, *, side=5, batch=2, dtype=torch.float32):
    """Return thin-plate warps that turn, magnify and bend."""
    control = control_points(side, dtype)
    turned = similarity(degrees=12, scale=1.1, shift=(0.05, -0.1), dtype=dtype)
    noise = torch.randn(batch, side**2, 2, generator=seeded(), dtype=DOUBLE).to(dtype)
    return ThinPlateWarp(turned.sample_points(control) + strength * noise)


def some_points(batch, count=6, dtype=torch.float32):
    return torch.rand(batch, count, 2, generator=seeded(1), dtype=DOUBLE).to(dtype) * 1.4 - 0.7


WARPS = {
    "rotation": lambda dtype=torch.float32: similarity(degrees=30, dtype=dtype),
    "scale": lambda dtype=torch.float32: similarity(scale=0.7, dtype=dtype),
    "shift": lambda dtype=torch.float32: similarity(shift=(0.2, -0.3), dtype=dtype),
    "all of them": lambda dtype=torch.float32: similarity(
        degrees=-25, scale=1.3, shift=(0.1, 0.2), dtype=dtype
    ),
    "shear": shear,
    "bend": lambda dtype=torch.float32: bend(dtype=dtype),
    "strong bend": lambda dtype=torch.float32: bend(0.02, side=10, dtype=dtype),
}
every_warp = pytest.mark.parametrize("make", WARPS.values(), ids=WARPS)


@every_warp
def test_mapping_and_sampling_are_inverse(make):
    warp = make(DOUBLE)
    points = some_points(warp.batch, dtype=DOUBLE)
    close = {"atol": 1e-10, "rtol": 0.0}
    torch.testing.assert_close(warp.sample_points(warp.map_points(points)), points, **close)
    torch.testing.assert_close(warp.map_points(warp.sample_points(points)), points, **close)


@every_warp
def test_float32_is_a_thousandth_of_a_pixel_away_from_float64(make):
    single, double = make(), make(DOUBLE)
    points = some_points(single.batch)
    for name in ("map_points", "sample_points"):
        found, exact = getattr(single, name)(points), getattr(double, name)(points.double())
        assert found.dtype is torch.float32
        assert ((found - exact).abs().max() * 128 / 2).item() < 1e-3


@every_warp
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_a_dot_moves_to_where_its_point_is_mapped(make, size):
    height, width = size
    warp = make()
    for point in ((0.0, 0.0), (0.3, -0.2), (-0.35, 0.3)):
        points = torch.tensor([[point]]).expand(warp.batch, 1, 2)
        # Small, since a bend moves the middle of a large dot a little off its point.
        moved = warp(gaussian_heatmaps(points, height, width, sigma=1.0))
        weights = moved / moved.sum(dim=(2, 3), keepdim=True)
        grid = pixel_grid(height, width)
        found = (weights.unsqueeze(-1) * grid).sum(dim=(2, 3))
        wanted = warp.map_points(points)
        off = to_pixels(found, height, width) - to_pixels(wanted, height, width)
        assert off.norm(dim=-1).max().item() < 0.5


@every_warp
def test_the_grid_samples_where_the_points_of_its_pixels_do(make):
    warp = make()
    points = pixel_grid(24, 32).reshape(1, -1, 2).expand(warp.batch, -1, -1)
    grid = warp.sample_grid(24, 32)
    assert grid.shape == (warp.batch, 24, 32, 2)
    torch.testing.assert_close(grid.flatten(1, 2), warp.sample_points(points), atol=2e-5, rtol=0)
    exact = make(DOUBLE)
    torch.testing.assert_close(
        exact.sample_grid(24, 32).flatten(1, 2),
        exact.sample_points(pixel_grid(24, 32, dtype=DOUBLE).reshape(1, -1, 2)),
        atol=1e-12,
        rtol=0,
    )


def test_a_thin_plate_grid_is_as_precise_as_float32_allows():
    single, double = bend(0.01, side=10), bend(0.01, side=10, dtype=DOUBLE)
    error = (single.sample_grid(32, 32) - double.sample_grid(32, 32)).abs().max().item()
    assert error < 1e-6
    points = pixel_grid(32, 32).reshape(1, -1, 2).expand(2, -1, -1)
    error = (single.sample_points(points) - double.sample_points(points)).abs().max().item()
    assert error < 1e-5


@pytest.mark.parametrize("warp", [similarity(), ThinPlateWarp(control_points(10))])
def test_the_identity_leaves_images_and_points_alone(warp):
    images = torch.rand(1, 3, 20, 30)
    torch.testing.assert_close(warp(images), images, atol=1e-5, rtol=0)
    points = some_points(1)
    torch.testing.assert_close(warp.map_points(points), points, atol=1e-6, rtol=0)
    torch.testing.assert_close(warp.sample_points(points), points, atol=1e-6, rtol=0)


def test_a_shift_by_whole_pixels_moves_pixels_and_repeats_the_edge():
    image = torch.arange(5.0).expand(1, 1, 4, 5)
    moved = similarity(shift=(2 * 2 / 5, 0.0))(image)
    expected = torch.tensor([0.0, 0, 0, 1, 2]).expand(1, 1, 4, 5)
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


def test_a_positive_angle_turns_the_image_clockwise():
    right, down = torch.tensor([[[0.5, 0.0]]]), torch.tensor([[[0.0, 0.5]]])
    torch.testing.assert_close(similarity(degrees=90).map_points(right), down)
    image = torch.rand(1, 3, 8, 8)
    turned = image.rot90(-1, dims=(2, 3))
    torch.testing.assert_close(similarity(degrees=90)(image), turned, atol=1e-4, rtol=0)


def test_a_similarity_magnifies_about_the_centre_then_shifts():
    warp = similarity(scale=2.0, shift=(0.1, -0.1))
    mapped = warp.map_points(torch.tensor([[[0.2, 0.3]]]))
    torch.testing.assert_close(mapped, torch.tensor([[[0.5, 0.5]]]))


def test_affine_warps_compose_like_their_matrices():
    first, second = shear(DOUBLE), similarity(degrees=40, scale=0.8, shift=(0.2, 0), dtype=DOUBLE)
    square = torch.eye(3, dtype=DOUBLE)[2:].expand(2, 1, 3)
    one, two = (torch.cat((w.matrix.expand(2, 2, 3), square), dim=1) for w in (first, second))
    both = AffineWarp((two @ one)[:, :2])
    points = some_points(2, dtype=DOUBLE)
    torch.testing.assert_close(both.map_points(points), second.map_points(first.map_points(points)))
    torch.testing.assert_close(
        both.sample_points(points), first.sample_points(second.sample_points(points))
    )


def test_every_image_of_a_batch_has_its_own_warp():
    degrees = torch.tensor([0.0, 20.0, -35.0])
    warp = AffineWarp.from_similarity(degrees.deg2rad(), torch.ones(3), torch.zeros(3, 2))
    images, points = torch.rand(3, 3, 16, 16), some_points(3)
    for index in range(3):
        alone = similarity(degrees=degrees[index].item())
        one = slice(index, index + 1)
        torch.testing.assert_close(warp(images)[one], alone(images[one]))
        torch.testing.assert_close(warp.map_points(points)[one], alone.map_points(points[one]))


@pytest.mark.parametrize("side", [2, 5, 10])
def test_a_thin_plate_with_affine_targets_is_that_affine_warp(side):
    affine = shear()
    plate = ThinPlateWarp(affine.sample_points(control_points(side).expand(2, -1, -1)))
    images, points = torch.rand(2, 3, 24, 24), some_points(2)
    close = {"atol": 5e-6, "rtol": 0.0}
    torch.testing.assert_close(plate.sample_points(points), affine.sample_points(points), **close)
    torch.testing.assert_close(plate.map_points(points), affine.map_points(points), **close)
    torch.testing.assert_close(plate(images), affine(images), atol=5e-4, rtol=0)


def test_a_thin_plate_takes_its_control_points_to_its_targets():
    control = control_points(6, DOUBLE)
    targets = control + 0.03 * torch.randn(2, 36, 2, generator=seeded(), dtype=DOUBLE)
    warp = ThinPlateWarp(targets)
    torch.testing.assert_close(warp.sample_points(control.expand(2, -1, -1)), targets)
    torch.testing.assert_close(warp.map_points(targets), control.expand(2, -1, -1))


@pytest.mark.parametrize("count", [2, 3, 8, 1])
def test_control_points_must_be_a_square_grid(count):
    with pytest.raises(ValueError, match=f"{count} control points are not a square grid"):
        ThinPlateWarp(torch.zeros(1, count, 2))


@every_warp
def test_beyond_the_edge_the_edge_is_repeated_like_border_padding(make):
    warp = make()
    images = torch.rand(warp.batch, 3, 16, 24, generator=seeded())
    expected = functional.grid_sample(
        images, warp.sample_grid(16, 24), padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(warp(images), expected, atol=1e-5, rtol=0)


def test_an_image_that_is_moved_away_shows_its_edge_alone():
    moved = similarity(shift=(5.0, 5.0))(torch.arange(12.0).reshape(1, 1, 3, 4))
    torch.testing.assert_close(moved, torch.zeros(1, 1, 3, 4), atol=1e-5, rtol=0)


def test_gradients_of_an_affine_warp_are_exact():
    matrix = shear(DOUBLE).matrix.clone().requires_grad_()
    points = some_points(2, dtype=DOUBLE).requires_grad_()
    for name in ("map_points", "sample_points"):
        assert torch.autograd.gradcheck(
            lambda m, p, name=name: getattr(AffineWarp(m), name)(p), (matrix, points)
        )


def test_gradients_of_a_thin_plate_warp_are_exact():
    control = control_points(4, DOUBLE)
    noise = 0.05 * torch.randn(2, 16, 2, generator=seeded(), dtype=DOUBLE)
    targets = (similarity(degrees=12, dtype=DOUBLE).sample_points(control) + noise).requires_grad_()
    points = some_points(2, count=3, dtype=DOUBLE).requires_grad_()
    for name in ("map_points", "sample_points"):
        assert torch.autograd.gradcheck(
            lambda t, p, name=name: getattr(ThinPlateWarp(t), name)(p), (targets, points)
        )
    assert torch.autograd.gradcheck(lambda t: ThinPlateWarp(t).sample_grid(3, 4), targets)


def test_at_control_points_gradients_are_finite():
    warp = ThinPlateWarp(control_points(5))
    points = control_points(5).clone().requires_grad_()
    (warp.sample_points(points).sum() + warp.map_points(points).sum()).backward()
    torch.testing.assert_close(points.grad, torch.full_like(points, 2.0), atol=1e-4, rtol=0)


def test_gradients_reach_the_images():
    images = torch.rand(2, 1, 5, 6, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(bend(dtype=DOUBLE), images)


@every_warp
def test_autocast_changes_nothing(make):
    warp, again = make(), make()
    images = torch.rand(warp.batch, 3, 16, 16)
    points = some_points(warp.batch).requires_grad_()
    expected = [warp(images), warp.map_points(points), warp.sample_points(points)]
    (gradient,) = torch.autograd.grad(expected[1].sum(), points)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = [again(images), again.map_points(points), again.sample_points(points)]
        (gradient_under,) = torch.autograd.grad(under[1].sum(), points)
        made_under = make().map_points(points)
    found = [*under, gradient_under, made_under]
    for one, other in zip(found, [*expected, gradient, expected[1]], strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@every_warp
def test_half_precision_images_are_sampled_in_float32(make):
    warp = make()
    images = torch.rand(warp.batch, 3, 64, 64).to(torch.bfloat16)
    moved = warp(images)
    assert moved.dtype is torch.bfloat16
    torch.testing.assert_close(moved, warp(images.float()).to(torch.bfloat16), atol=0, rtol=0)


def test_half_precision_points_and_parameters_are_computed_in_float32():
    points = some_points(2).to(torch.bfloat16)
    for warp in (shear(), bend()):
        torch.testing.assert_close(
            warp.map_points(points), warp.map_points(points.float()), atol=0, rtol=0
        )
    matrix = shear().matrix.to(torch.bfloat16)
    assert AffineWarp(matrix).map_points(points).dtype is torch.float32
    targets = control_points(4).to(torch.bfloat16)
    assert ThinPlateWarp(targets).sample_grid(4, 4).dtype is torch.float32


def test_warps_first_made_in_inference_serve_training():
    with torch.inference_mode():
        ThinPlateWarp(control_points(7)).sample_grid(6, 6)
    targets = control_points(7).clone().requires_grad_()
    ThinPlateWarp(targets).sample_grid(6, 6).sum().backward()
    assert targets.grad.isfinite().all()


class Swirl(Warp):
    """A warp with nothing but the abstract parts, as a plugin may write."""

    batch = 2
    device = torch.device("cpu")

    def sample_points(self, points):
        return self._turn(points, 1)

    def map_points(self, points):
        return self._turn(points, -1)

    def _turn(self, points, sign):
        angle = sign * (1 - points.norm(dim=-1)).clamp_min(0)
        x, y = points.unbind(-1)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def test_a_warp_needs_only_its_two_maps():
    swirl = Swirl()
    points = some_points(2)
    torch.testing.assert_close(swirl.map_points(swirl.sample_points(points)), points)
    images = gaussian_heatmaps(torch.tensor([[[0.4, 0.0]]] * 2), 64, 64, 1.5)
    top = swirl(images).flatten(1).argmax(dim=1)
    found = from_pixels(torch.stack((top % 64, top // 64), dim=-1), 64, 64)
    wanted = swirl.map_points(torch.tensor([[[0.4, 0.0]]] * 2))[:, 0]
    assert (found - wanted).norm(dim=-1).max() < 2 / 64


@pytest.mark.parametrize("rows", [slice(1, 3), torch.tensor([3, 0])])
def test_some_rows_of_a_warp_are_the_warps_of_those_images(rows):
    generator = torch.Generator().manual_seed(0)
    affine = AffineWarp.from_similarity(
        angle=torch.randn(4, generator=generator) / 3,
        scale=1 + torch.rand(4, generator=generator) / 5,
        shift=torch.randn(4, 2, generator=generator) / 9,
    )
    line = torch.linspace(-1, 1, 3)
    control = torch.cartesian_prod(line, line).flip(1)
    spline = ThinPlateWarp(control + torch.randn(4, 9, 2, generator=generator) / 20)
    images = torch.rand(4, 3, 8, 8, generator=generator)
    points = torch.rand(4, 5, 2, generator=generator) - 0.5
    for warp in (affine, spline):
        # As a warp of its own, and by way of all rows, as any foreign one is taken.
        for some in (warp[rows], Warp.__getitem__(warp, rows)):
            assert (some.batch, some.device, some.dtype) == (2, warp.device, warp.dtype)
            close = {"rtol": 0, "atol": 1e-5}
            torch.testing.assert_close(some(images[rows]), warp(images)[rows], **close)
            for name in ("map_points", "sample_points"):
                found = getattr(some, name)(points[rows])
                torch.testing.assert_close(found, getattr(warp, name)(points)[rows], **close)
