"""The two points whose distance normalises errors."""

import numpy as np
import pytest

from lmkit.data.sets.normalising import choose_pair, near_note
from lmkit.errors import LmkitError


@pytest.mark.parametrize(
    ("count", "pair"),
    [
        *((68, (36, 45)), (98, (60, 72)), (29, (8, 9)), (106, (66, 79)), (19, (6, 11))),
        *((21, (6, 11)), (5, (0, 1))),
    ],
)
def test_numbered_points_of_faces_have_the_order_of_their_data_set(count, pair):
    assert choose_pair([*map(str, range(count))], None) == pair


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("nose", "left_eye", "right_eye"), (1, 2)),
        (("RightEye", "tail", "leftEye"), (2, 0)),
        (("lefteye", "righteye", "nose"), (0, 1)),
        (("left_eye", "right_eye", "left eye outer corner", "right eye outer corner"), (2, 3)),
        (("r_eye_center", "x", "l_eye_center", "left_eyebrow", "right_eyebrow"), (2, 0)),
        (("chin", "left_pupil", "right_pupil", "left_eye_top", "right_eye_top"), (1, 2)),
        (("wrist", "thumb", *map(str, range(19))), (0, 1)),
        (("left_eye", "left eye", "right_eye"), (0, 1)),
    ],
)
def test_named_points_are_the_eyes(names, pair):
    assert choose_pair(names, None) == pair


def test_a_choice_and_a_convention_come_first():
    names = ("nose", "left_eye", "right_eye")
    assert choose_pair(names, (0, 2), (1, 0)) == (0, 2)
    assert choose_pair(names, None, (1, 0)) == (1, 0)
    for wrong in ((0, 3), (-1, 1), (1, 1)):
        with pytest.raises(LmkitError, match="the data has 3"):
            choose_pair(names, wrong)


def test_a_pair_much_nearer_than_the_extent_is_warned_about():
    points = np.array([[[0, 0], [100, 0], [50, 100], [55, 100]]], dtype=float)
    assert near_note(points, [*"abcd"], (0, 1)) == ()
    (note,) = near_note(points, [*"abcd"], (2, 3))
    assert "c and d, are only 5.0% of the extent" in note
    points[:, 3] = np.nan
    assert near_note(points, [*"abcd"], (2, 3)) == ()
    assert near_note(np.zeros((2, 4, 2)), [*"abcd"], (2, 3)) == ()
    assert near_note(points[:0], [*"abcd"], (2, 3)) == ()
