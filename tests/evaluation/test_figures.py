"""The sheets of an evaluation: each face in its place, colours that stay with landmarks."""

import numpy as np
import pytest

from lmkit.drawing import GAP, colours, legend
from lmkit.evaluation.figures import extremes_sheet, faces_sheet

SIDE = 60


def faces(count):
    return [np.full((SIDE, SIDE, 3), 40 + number, np.uint8) for number in range(count)]


def cell(picture, row, column, top=0):
    y, x = top + row * (SIDE + GAP), column * (SIDE + GAP)
    return np.asarray(picture)[y : y + SIDE, x : x + SIDE]


@pytest.mark.parametrize("landmarks", [3, 50])
def test_the_same_landmark_has_the_same_colour_on_every_face(landmarks):
    places = np.random.default_rng(0).permutation(81)[:landmarks]
    grid = np.stack([places % 9, places // 9], axis=1) * 6.0 + 6
    points = np.stack([np.roll(grid, number, axis=0) for number in range(5)])
    drawn = faces_sheet(faces(5), points, 2)
    for number in range(5):
        own = cell(drawn, *divmod(number, 2))
        assert tuple(own[0, 0]) == (40 + number,) * 3
        for colour, (x, y) in zip(colours(landmarks), points[number].astype(int), strict=True):
            assert tuple(own[y, x]) == colour
    assert drawn.height == 3 * (SIDE + GAP) + legend(landmarks, drawn.width).height


def test_a_sheet_is_no_wider_than_its_faces():
    drawn = faces_sheet(faces(3), np.zeros((3, 1, 2)), 8)
    assert drawn.width == 3 * (SIDE + GAP) - GAP


def test_the_best_stand_above_the_worst():
    points = np.full((6, 2, 2), 30.0)
    truth = points.copy()
    truth[3:, 1] = (50, 10)
    truth[4] = np.nan
    drawn = extremes_sheet(faces(6), points, truth, [1, 2, 3, 40, 50, 60], 2)
    heading = (drawn.height - 4 * SIDE - 5 * GAP) // 2
    second = 2 * heading + 2 * SIDE + 4 * GAP
    for number in range(3):
        row, column = divmod(number, 2)
        best = cell(drawn, row, column, top=heading + GAP)
        assert tuple(best[0, 0]) == (40 + number,) * 3
        worst = cell(drawn, row, column, top=second)
        assert tuple(worst[0, 0]) == (43 + number,) * 3
        joined = tuple(worst[20, 40]) == (255, 255, 255)
        assert joined == (number != 1), "points without truth are drawn, and not joined"
        assert tuple(worst[30, 30]) == colours(2)[1]


def test_two_faces_are_enough_and_one_is_among_the_worst():
    assert extremes_sheet(faces(2), np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), [1, 2]).width == SIDE
    assert extremes_sheet(faces(1), np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), [1]).width == SIDE
