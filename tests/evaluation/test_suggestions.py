import numpy as np

from lmkit.evaluation.suggestions import spread_out


def test_images_are_taken_from_the_middle_and_then_from_the_ends():
    places = np.array([0.0, 0.1, 0.5, 0.52, 1.0, 5.0])
    landmarks = np.repeat(places[:, None, None], 2, axis=2).repeat(3, axis=1)
    sound = np.array([True] * 5 + [False])
    assert spread_out(landmarks, 3, sound) == [2, 0, 4]
    assert len(spread_out(landmarks, 9, sound)) == 5


def test_equal_images_are_taken_once():
    assert spread_out(np.zeros((5, 3, 2)), 4, np.ones(5, bool)) == [0]
