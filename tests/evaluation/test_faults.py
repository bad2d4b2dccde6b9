"""Faults are found image by image, also where means over images hide them."""

import numpy as np
import pytest
import torch

from lmkit.evaluation.faults import KINDS, find_faults
from lmkit.geometry.collapse import looks_collapsed, summary

GRID = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 4), np.linspace(-0.6, 0.6, 3)), -1).reshape(
    -1, 2
)


def healthy(images, seed=0):
    """Landmarks of an object that moves, turns and changes from image to image."""
    rng = np.random.default_rng(seed)
    place = rng.normal(scale=0.1, size=(images, 1, 2))
    return GRID + place + rng.normal(scale=0.03, size=(images, len(GRID), 2))


def test_landmarks_that_follow_an_object_have_no_fault():
    faults = find_faults(healthy(60))
    assert faults.share == 0
    assert faults.landmarks.max() < 0.1
    assert faults.any.shape == (60, 12)
    assert faults.sentence().startswith("At fault are 0 % of the images")


def test_a_detector_that_works_on_no_image_but_in_two_ways_is_found():
    """A fixed grid on some images and one spot on the others: no mean over images shows it."""
    rng = np.random.default_rng(1)
    grid = np.repeat(GRID[None], 36, axis=0) + rng.normal(scale=0.002, size=(36, 12, 2))
    spot = rng.uniform(-0.4, 0.4, (24, 1, 2)) + rng.normal(scale=0.005, size=(24, 12, 2))
    points = np.concatenate([grid, spot])
    assert not looks_collapsed({k: float(v) for k, v in summary(torch.tensor(points)).items()})
    faults = find_faults(points)
    assert faults.share == 1
    assert faults.of_kind("stuck")[:36].all()
    assert faults.of_kind("together")[36:].all()
    assert (faults.landmarks == 1).all()
    for words in KINDS.values():
        assert (words in faults.sentence()) == (words != KINDS["border"])


def test_the_images_at_fault_are_told_from_the_others():
    points = healthy(40)
    points[::4] = points[::4, :1]
    faults = find_faults(points)
    assert faults.images.tolist() == [number % 4 == 0 for number in range(40)]
    assert faults.share == 0.25
    assert faults.to_dict()["images"] == 0.25
    assert "25 % of the images" in faults.sentence()


def test_a_landmark_at_fault_on_every_image_is_told_and_faults_no_image():
    points = healthy(40)
    points[:, 3] = (0.97, 0)
    points[:, 5] = points[:, 6] + 0.001
    faults = find_faults(points)
    assert faults.share == 0
    assert faults.landmarks[[3, 5, 6]].tolist() == [1, 1, 1]
    assert "on most images 3 of 12 landmarks" in faults.sentence()


def test_the_order_of_images_and_their_number_do_not_matter():
    points = np.concatenate([healthy(700), np.repeat(GRID[None], 500, axis=0)])
    order = np.random.default_rng(0).permutation(len(points))
    faults = find_faults(points[order])
    assert faults.images[np.argsort(order)][700:].all()
    assert faults.share == pytest.approx(500 / 1200, abs=0.01)


def test_a_single_image_says_nothing_of_what_moves():
    assert not find_faults(GRID[None]).any.any()
