"""What landmarks do when an image is changed in a way that is known."""

import pytest
import torch

from lmkit.evaluation.following import (
    exchange_surroundings,
    known_warps,
    missed_and_moved,
    moved_by_surroundings,
    recognised,
    warped,
)

KEYS = [f"image-{number}" for number in range(12)]


def blobs(points, side=48):
    """Images (N, 3, S, S) with a bright spot at each of (N, K, 2) points, each its own size."""
    places = (torch.arange(side) + 0.5) / side * 2 - 1
    x, y = points[..., 0, None, None], points[..., 1, None, None]
    squared = (places[None, None, None, :] - x) ** 2 + (places[None, None, :, None] - y) ** 2
    widths = 0.04 + 0.05 * torch.arange(points.shape[1])[None, :, None, None]
    bright = torch.exp(-squared / (2 * widths**2)).amax(dim=1)
    return (255 * bright)[:, None].expand(-1, 3, -1, -1).round().to(torch.uint8)


def points_of(images, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    base = torch.tensor([[-0.35, -0.3], [0.35, -0.3], [0.0, 0.4]])[:count]
    return base + 0.2 * (torch.rand(images, count, 2, generator=generator) - 0.5)


def test_a_warp_is_a_function_of_an_images_name_and_the_seed():
    points = torch.zeros(12, 1, 2)
    whole = known_warps(KEYS, 0).map_points(points)
    assert torch.allclose(known_warps(KEYS[3:5], 0).map_points(points[:2]), whole[3:5], atol=1e-5)
    assert not torch.allclose(known_warps(KEYS, 1).map_points(points), whole)
    assert len(whole.reshape(-1, 2).unique(dim=0)) == 12


def test_no_warp_folds():
    side = torch.linspace(-1, 1, 25)
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1)
    names = [str(number) for number in range(300)]
    sampled = known_warps(names, 0).sample_points(grid.reshape(1, -1, 2).expand(300, -1, -1))
    sampled = sampled.reshape(300, 25, 25, 2)
    right = sampled[:, 1:, 1:] - sampled[:, 1:, :-1]
    down = sampled[:, 1:, 1:] - sampled[:, :-1, 1:]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    assert (area > 0).all()


def test_landmarks_that_go_with_the_image_miss_nothing_and_those_that_stay_everything():
    points, warp = points_of(12), known_warps(KEYS, 0)
    missed, moved = missed_and_moved(points, warp.map_points(points), warp)
    assert missed.nan_to_num().max() < 1e-3
    missed, moved = missed_and_moved(points, points, warp)
    assert torch.equal(missed.nan_to_num(), moved.nan_to_num())
    assert moved.nan_to_num().mean() > 3


def test_a_landmark_that_leaves_the_image_is_not_judged():
    warp = known_warps(KEYS, 0)
    outside = torch.full((12, 1, 2), 0.999)
    missed, moved = missed_and_moved(outside, outside, warp)
    gone = warp.map_points(outside).abs().amax(dim=-1) > 1
    assert gone.any()
    assert torch.equal(missed.isnan(), gone)
    assert torch.equal(moved.isnan(), gone)


def test_an_image_moves_as_the_warp_says():
    points, warp = points_of(12, count=1), known_warps(KEYS, 0)
    seen = warped(blobs(points), warp)[:, 0].double()
    places = (torch.arange(48) + 0.5) / 48 * 2 - 1
    weight = seen / seen.sum(dim=(1, 2), keepdim=True)
    found = torch.stack([(weight.sum(1) * places).sum(1), (weight.sum(2) * places).sum(1)], dim=-1)
    expected = warp.map_points(points)[:, 0]
    assert (found - expected).norm(dim=-1).max() < 0.05


def test_surroundings_are_exchanged_and_the_middle_is_kept():
    images = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 40, 40) * 40
    other = exchange_surroundings(images)
    assert torch.equal(other[..., 10:30, 10:30], images[..., 10:30, 10:30])
    assert torch.equal(other[:, 0, 0, 0], images.roll(2, 0)[:, 0, 0, 0])
    assert (other[:, 0, 0] != images[:, 0, 0]).all()


def test_movement_by_surroundings_is_of_landmarks_in_the_middle():
    before = torch.tensor([[[0.0, 0.0], [0.9, 0.0]]])
    after = before + torch.tensor([0.1, 0.0])
    assert moved_by_surroundings(before, after) == pytest.approx(5.0)
    assert moved_by_surroundings(before[:, 1:], after[:, 1:]) is None


def test_landmarks_on_parts_are_recognised_and_random_ones_are_not():
    points = points_of(40)
    images = blobs(points)
    assert recognised(images, points) > 0.9
    generator = torch.Generator().manual_seed(1)
    random = torch.rand(40, 3, 2, generator=generator) * 1.6 - 0.8
    assert recognised(images, random) < 0.6
    exchanged = torch.stack([row[torch.randperm(3, generator=generator)] for row in points])
    assert recognised(images, exchanged) < 0.6
    assert recognised(images[:1], points[:1]) is None
