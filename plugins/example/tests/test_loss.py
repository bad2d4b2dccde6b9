"""What is special about the loss; the rest is checked in test_conformance.py."""

import math

import pytest
import torch
from lmkit_example.loss import Separation

from lmkit.api import AffineWarp, Landmarks, LmkitError, Step


def step_with(points: torch.Tensor) -> Step:
    """Return the record of a step that found these points, with everything else at rest."""
    still = AffineWarp(torch.eye(2, 3).expand(len(points), 2, 3))
    images = torch.zeros(len(points), 3, 8, 8)
    return Step(
        number=0,
        views={"original": images},
        landmarks={"original": Landmarks(points)},
        warps={"original": still},
        routes=(),
        stages=(),
    )


def test_it_is_one_where_landmarks_coincide_and_falls_with_their_distance() -> None:
    """In closed form, at no distance and at the one asked for."""
    together = step_with(torch.zeros(1, 2, 2))
    apart = step_with(torch.tensor([[[0.0, 0.0], [0.2, 0.0]]]))
    loss = Separation(distance=0.2)
    assert loss(together).item() == 1
    assert loss(apart).item() == pytest.approx(math.exp(-0.5))


def test_it_pushes_landmarks_apart() -> None:
    """Its gradient points from each landmark to the other."""
    points = torch.tensor([[[0.0, 0.0], [0.1, 0.0]]], requires_grad=True)
    Separation()(step_with(points)).backward()
    assert points.grad is not None
    assert points.grad[0, 0, 0] > 0 > points.grad[0, 1, 0]


def test_one_landmark_alone_costs_nothing() -> None:
    """And still has a gradient to hand on."""
    points = torch.zeros(2, 1, 2, requires_grad=True)
    loss = Separation()(step_with(points))
    loss.backward()
    assert loss.item() == 0


def test_a_distance_that_makes_no_sense_is_refused() -> None:
    """With a remedy."""
    with pytest.raises(LmkitError, match="Give it a number above 0"):
        Separation(distance=0.0)
