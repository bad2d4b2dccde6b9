"""Where landmarks are over a batch: closed forms, and what counts as collapsed."""

import math

import pytest
import torch

from lmkit.geometry.collapse import (
    BORDER,
    CENTRE,
    SAME_PLACE,
    STILL,
    TOO_MANY,
    at_border,
    coincident,
    looks_collapsed,
    mean_movement,
    pinned,
    summary,
)

HEALTHY = {"spread": 15.0, "pinned": 0.0, "coincident": 0.0, "border": 0.0}


def percent(value):
    """Turn percent of the side into normalised coordinates."""
    return value / 50


def test_spread_is_the_distance_from_the_mean_in_percent_of_the_side():
    # One landmark that is left or right of its mean by a quarter of the side, and one on a circle.
    angles = torch.arange(8) * math.pi / 4
    circle = 0.2 * torch.stack((angles.cos(), angles.sin()), dim=-1)
    beside = torch.tensor([[0.5, 0.3], [-0.5, 0.3]]).repeat(4, 1)
    found = mean_movement(torch.stack((beside, circle), dim=1))
    assert torch.allclose(found, torch.tensor([25.0, 10.0]))


def test_where_the_landmark_is_changes_no_spread():
    points = torch.rand(5, 3, 2) - 0.5
    assert torch.allclose(mean_movement(points), mean_movement(points + 0.4), atol=1e-4)
    assert torch.allclose(mean_movement(points / 2), mean_movement(points) / 2)
    assert mean_movement(points[:1]).tolist() == [0, 0, 0]


def test_pinned_needs_both_stillness_and_the_centre():
    moves = torch.tensor([1.0, -1.0])[:, None, None] * torch.tensor([1.0, 0.0])
    still, moving = percent(0.9 * STILL) * moves, percent(1.1 * STILL) * moves
    near = torch.tensor([0.0, percent(0.9 * CENTRE)])
    far = torch.tensor([0.0, percent(1.1 * CENTRE)])
    points = torch.cat((still + near, moving + near, still + far), dim=1)
    assert pinned(points).tolist() == [True, False, False]


def test_coincident_ones_are_together_on_average():
    # The second follows the first, the third is met once and is far away at other times.
    first = torch.tensor([[[0.0, 0.0]], [[0.5, 0.1]]])
    second = first + torch.tensor([percent(0.9 * SAME_PLACE), 0.0])
    third = torch.tensor([[[0.0, 0.0]], [[-0.5, 0.1]]])
    assert coincident(torch.cat((first, second, third), dim=1)).tolist() == [True, True, False]
    apart = first + torch.tensor([0.0, percent(1.1 * SAME_PLACE)])
    assert coincident(torch.cat((first, apart), dim=1)).tolist() == [False, False]
    assert coincident(first).tolist() == [False]


def test_the_border_is_any_edge_and_need_not_be_still():
    edge = 1 - percent(0.9 * BORDER)
    inside = 1 - percent(1.1 * BORDER)
    points = torch.tensor(
        [[[edge, 0.8], [inside, 0.0], [0.0, 0.0]], [[-0.9, -edge], [0.0, -inside], [0.0, edge]]]
    )
    assert at_border(points).tolist() == [True, False, False]


def test_a_summary_counts_shares():
    points = torch.zeros(4, 4, 2)
    points[:, 2] = torch.tensor([0.99, 0.0])
    points[:, 3] = torch.linspace(-0.5, 0.5, 4)[:, None]
    found = {name: value.item() for name, value in summary(points).items()}
    assert found == {
        "spread": pytest.approx(mean_movement(points)[3].item() / 4),
        "pinned": 0.5,
        "coincident": 0.5,
        "border": 0.25,
    }


@pytest.mark.parametrize("found", [{}, {"pinned": 0.4, "border": 0.4, "coincident": 0.4}])
def test_some_lost_landmarks_are_no_collapse(found):
    assert not looks_collapsed(HEALTHY | found)


@pytest.mark.parametrize(
    "found", [{"pinned": TOO_MANY}, {"coincident": 1.0}, {"border": 0.6}, {"spread": 0.9 * STILL}]
)
def test_most_lost_landmarks_are_a_collapse(found):
    assert looks_collapsed(HEALTHY | found)
