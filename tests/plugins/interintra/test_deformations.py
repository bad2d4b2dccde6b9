"""Similarity and TPS move the image exactly as they say they move points."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lmkit.api import AffineWarp, Deformation, GeometricDeformation, LmkitError, to_pixels
from lmkit_interintra.similarity import Similarity
from lmkit_interintra.tps import ThinPlateSpline

SIZE = 128
BOTH = pytest.mark.parametrize("deformation", [Similarity(), ThinPlateSpline()], ids=["sim", "tps"])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(points: Tensor) -> Tensor:
    """Draw a bright dot at one point of each of B black images, (B, 3, SIZE, SIZE)."""
    x, y = to_pixels(points, SIZE, SIZE).unbind(-1)
    line = torch.arange(SIZE, dtype=torch.float32)
    across = torch.exp(-((line - x[:, None]) ** 2) / 2)
    down = torch.exp(-((line - y[:, None]) ** 2) / 2)
    return (down[:, :, None] * across[:, None, :])[:, None].expand(-1, 3, -1, -1)


def centroids(images: Tensor) -> Tensor:
    """Return the centre of light of each image, (B, 2), (x, y) in pixels."""
    light = images[:, 0]
    line = torch.arange(SIZE, dtype=torch.float32)
    total = light.sum(dim=(1, 2))
    x, y = (light.sum(dim=1) * line).sum(dim=1), (light.sum(dim=2) * line).sum(dim=1)
    return torch.stack((x, y), dim=1) / total[:, None]


@BOTH
def test_a_dot_is_found_where_its_point_goes_in_both_views(deformation: Deformation) -> None:
    for seed in range(30):
        points = torch.rand(24, 2, generator=seeded(100 + seed)) * 1.4 - 0.7
        views = deformation(dots(points), seeded(seed))
        for images, warp in (
            (views.original, views.original_warp),
            (views.deformed, views.deformed_warp),
        ):
            said = to_pixels(warp.map_points(points[:, None])[:, 0], SIZE, SIZE)
            # Only dots that are in the view as a whole have their centre of light there.
            edges = (images[:, 0, [0, -1], :], images[:, 0, :, [0, -1]].transpose(1, 2))
            whole = torch.cat(edges, dim=1).amax(dim=(1, 2)) < 1e-4
            whole &= (images[:, 0].sum(dim=(1, 2)) > 0.1) & (said - 63.5).abs().lt(63).all(dim=1)
            assert whole.sum() >= 18
            error = (centroids(images) - said).norm(dim=1)[whole]
            assert error.max() < 0.5, (seed, error)


@BOTH
def test_a_point_comes_from_where_it_went(deformation: GeometricDeformation) -> None:
    points = torch.rand(50, 9, 2, generator=seeded(0)) * 1.6 - 0.8
    for seed in range(4):
        for warp in deformation.warps(50, seeded(seed)):
            assert torch.allclose(warp.sample_points(warp.map_points(points)), points, atol=1e-4)


def test_a_view_that_is_not_bent_is_an_affine_map_and_leaves_the_other_as_it_is() -> None:
    options: dict[str, Any] = {"rotation": (5.0, 10.0), "scale": (0.1, 0.1)}
    straight = ThinPlateSpline(noise=(0.0, 0.001), extra_noise=(0.0, 0.01), **options)
    # So weak a bend that the same draws give the same map.
    bent = ThinPlateSpline(noise=(1e-9, 0.001), extra_noise=(0.0, 0.01), **options)
    points = torch.rand(5, 9, 2, generator=seeded(0)) * 1.6 - 0.8
    views, others = straight.warps(5, seeded(1)), bent.warps(5, seeded(1))
    assert isinstance(views[0], AffineWarp)
    for view, other in zip(views, others, strict=True):
        assert torch.allclose(view.map_points(points), other.map_points(points), atol=1e-5)


def parameters(warp: AffineWarp) -> tuple[Tensor, Tensor, Tensor]:
    """Return rotation in degrees, magnification and shift in half sides."""
    matrix = warp.matrix
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg()
    return angle, matrix[:, 0, :2].norm(dim=1), matrix[:, :, 2]


def test_similarity_draws_from_its_ranges() -> None:
    original, deformed = Similarity(scale=0.2, shift=0.05).warps(20_000, seeded(0))
    for warp, sd in ((original, 15.0), (deformed, 30.0)):
        angle, scale, shift = parameters(warp)
        # The share of a normal distribution within one standard deviation.
        assert (angle.abs() < sd).float().mean() == pytest.approx(0.6827, abs=0.012)
        assert angle.mean() == pytest.approx(0, abs=0.6)
        assert angle.abs().max() <= 40.001
        assert scale.min() == pytest.approx(0.8, abs=0.001)
        assert scale.max() == pytest.approx(1.2, abs=0.001)
        assert shift.abs().max() == pytest.approx(0.1, abs=0.001)
    assert parameters(deformed)[0].abs().max() == pytest.approx(40, abs=0.01)


def test_tps_without_noise_is_a_similarity() -> None:
    deformation = ThinPlateSpline(noise=(0.0, 0.0), extra_noise=(0.0, 0.0))
    _, deformed = deformation.warps(400, seeded(0))
    origin, right = torch.zeros(400, 1, 2), torch.tensor([0.5, 0.0]).expand(400, 1, 2)
    shift = deformed.map_points(origin)[:, 0]
    axis = (deformed.map_points(right)[:, 0] - shift) / 0.5
    angle = torch.atan2(axis[:, 1], axis[:, 0])
    assert shift.std() == pytest.approx(0.1, rel=0.1)
    assert axis.norm(dim=1).std() == pytest.approx(0.1, rel=0.1)
    assert angle.std() == pytest.approx(math.radians(5), rel=0.1)


def test_tps_bends_by_its_noise() -> None:
    still = {"rotation": (0.0, 0.0), "scale": (0.0, 0.0), "shift": (0.0, 0.0)}
    noise = {"noise": (0.0002, 0.0004), "extra_noise": (0.0, 0.0)}
    original, deformed = ThinPlateSpline(**still, **noise).warps(1000, seeded(0))
    points = torch.tensor([[[0.1, -0.2], [0.9, 0.9]]]).expand(1000, -1, -1)
    line = torch.linspace(-1, 1, 10)
    control = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    squared = (points[0][:, None] - control).square().sum(dim=-1)
    # A sum of independent normal variables, each times its kernel.
    expected = (squared * squared.log()).square().sum(dim=1).sqrt()
    for warp, sd in ((original, 0.0002), (deformed, 0.0004)):
        moved = (warp.sample_points(points) - points).square().mean(dim=(0, 2)).sqrt()
        assert torch.allclose(moved, sd * expected, rtol=0.08)


def test_tps_never_folds_the_image_however_strong_its_noise() -> None:
    deformation = ThinPlateSpline(extra_noise=(0.005, 0.05))
    for warp in deformation.warps(200, seeded(0)):
        grid = warp.sample_grid(48, 48)
        by_x = grid[:, :-1, 1:] - grid[:, :-1, :-1]
        by_y = grid[:, 1:, :-1] - grid[:, :-1, :-1]
        area = by_x[..., 0] * by_y[..., 1] - by_x[..., 1] * by_y[..., 0]
        assert area.min() > 0


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        (Similarity, {"rotation": (15.0, -1.0)}, r"deformation\.rotation=15\.0,-1\.0"),
        (Similarity, {"scale": 1.0}, r"deformation\.scale=1\.0 .*shrink to nothing"),
        (Similarity, {"shift": math.nan}, r"deformation\.shift=nan"),
        (ThinPlateSpline, {"noise": (-0.1, 0.0)}, r"deformation\.noise=-0\.1,0\.0"),
        (ThinPlateSpline, {"scale": (0.0, 0.5)}, r"deformation\.scale=0\.0,0\.5"),
    ],
)
def test_options_that_cannot_work_are_refused(
    kind: type[Deformation], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LmkitError, match=problem):
        kind(**options)
