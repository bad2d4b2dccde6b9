import json

import numpy as np
import pytest

from lmkit.evaluation.landmarks import (
    MARGIN,
    Health,
    examine_landmarks,
    explained_variance,
    outside_face,
)

COUNT, SIDE = 200, 100.0
PAIR = (0, 1)


@pytest.fixture
def scene():
    """Faces that move: five points each, and landmarks on four of them."""
    rng = np.random.default_rng(0)
    shape = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [-0.15, 0.2], [0.15, 0.2]])
    truth = shape + rng.uniform(-0.3, 0.3, (COUNT, 1, 2)) + rng.normal(0, 0.02, (COUNT, 5, 2))
    return rng, truth, truth[:, [0, 1, 3, 4]].copy()


def pixels(points):
    return (points + 1) * SIDE / 2


def look(truth, found, consistency=None):
    shares = [0.9] * found.shape[1] if consistency is None else consistency
    return examine_landmarks(found, pixels(found), pixels(truth), PAIR, shares)


def test_landmarks_that_follow_the_face_are_well(scene):
    _, truth, found = scene
    health = look(truth, found)
    assert health.warnings() == []
    assert health.outside == [0] * 4
    expected = 50 * np.sqrt(((found - found.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    assert health.spread == pytest.approx(expected)
    assert not any(health.still)
    assert not any(health.pinned)
    assert health.together == []


def test_landmarks_pinned_to_the_centre(scene):
    rng, truth, found = scene
    found[:, [1, 3]] = rng.normal(0, 0.002, (COUNT, 2, 2))
    health = look(truth, found)
    assert health.pinned == [False, True, False, True]
    assert health.consistency == [0.9, None, 0.9, None]
    assert health.together == [(1, 3)]
    assert health.warnings() == [
        "2 of 4 landmarks (1, 3) sit at the centre in every image: the detector collapsed."
    ]


def test_where_all_are_pinned_they_are_not_listed(scene):
    _, truth, found = scene
    assert look(truth, np.zeros_like(found)).warnings() == [
        "All 4 landmarks sit at the centre in every image: the detector collapsed."
    ]


def test_landmarks_that_stay_in_one_place_elsewhere(scene):
    _, truth, found = scene
    found[:, 2] = (0.4, -0.3)
    health = look(truth, found)
    assert health.still == [False, False, True, False]
    assert not any(health.pinned)
    assert health.warnings() == [
        "1 of 4 landmarks (2) stays in one place whatever the image shows."
    ]


def test_landmarks_that_lie_on_one_another(scene):
    rng, truth, found = scene
    found[:, 2] = found[:, 0] + rng.normal(0, 0.005, (COUNT, 2))
    health = look(truth, found)
    assert health.together == [(0, 2)]
    assert health.warnings() == ["2 of 4 landmarks lie on one another: 0 and 2."]


def test_of_many_pairs_some_are_named(scene):
    rng, truth, found = scene
    many = np.repeat(found, 2, axis=1)[:, :, None] + rng.normal(0, 0.003, (COUNT, 8, 1, 2))
    (warning,) = look(truth, np.repeat(many[:, :, 0], 2, axis=1)).warnings()
    assert warning.startswith("16 of 16 landmarks lie on one another: 0 and 1, 0 and 2, ")
    assert warning.endswith(" and 19 more pairs.")


def test_landmarks_outside_of_the_face(scene):
    _, truth, found = scene
    found[:, 3] = truth[:, 2] + (0, 0.9)
    found[: COUNT // 4, 0] = truth[: COUNT // 4, 2] - (0.9, 0)
    health = look(truth, found, [0.9, 0.9, 0.9, 0.01])
    assert health.outside == [0.25, 0, 0, 1]
    assert health.warnings() == ["1 of 4 landmarks (3) lies outside of the face in most images."]


def test_landmarks_that_move_on_their_own(scene):
    _, truth, found = scene
    assert look(truth, found, [0.9, 0.05, -0.3, 0.9]).warnings() == [
        "2 of 4 landmarks (1, 2) move without regard to the annotated points."
    ]


def test_where_it_could_not_be_measured_nothing_is_said_of_it(scene):
    _, truth, found = scene
    health = examine_landmarks(found, pixels(found), pixels(truth), PAIR, None)
    assert health.consistency == [None] * 4
    assert health.warnings() == []


def test_of_one_image_nothing_can_be_said_to_stay(scene):
    _, truth, found = scene
    assert look(truth[:1], found[:1]).still == [False] * 4


def test_the_face_area_by_hand():
    truth = np.array([[[10.0, 20.0], [30.0, 20.0], [20.0, 50.0], [np.nan, np.nan]]])
    margin = MARGIN * 20
    low, high = np.array([10.0, 20.0]) - margin, np.array([30.0, 50.0]) + margin
    left, below = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    landmarks = np.array([[low, high, low - left, high + below, [20, 30]]])
    assert outside_face(landmarks, truth, PAIR).tolist() == [[0, 0, 1, 1, 0]]


def test_explained_variance_by_hand(scene):
    _, _, found = scene
    assert explained_variance(found, found) == [1] * 4
    mean = np.broadcast_to(found.mean(axis=0), found.shape)
    assert explained_variance(mean, found) == pytest.approx([0] * 4, abs=1e-9)
    assert explained_variance(-5 * found + 1, found)[0] < 0
    sklearn = pytest.importorskip("sklearn.metrics")
    predicted = found + np.random.default_rng(1).normal(0, 0.1, found.shape)
    for number, share in enumerate(explained_variance(predicted, found)):
        expected = sklearn.r2_score(
            found[:, number], predicted[:, number], multioutput="variance_weighted"
        )
        assert share == pytest.approx(expected, abs=1e-9)


def test_the_json_form(scene):
    _, truth, found = scene
    found[:, 1] = 0.0
    plain = look(truth, found).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert [entry["landmark"] for entry in plain["landmarks"]] == [0, 1, 2, 3]
    assert (plain["pinned"], plain["still"], plain["outside"]) == (1, 1, 0)
    assert plain["landmarks"][1]["consistency"] is None
    assert plain["mean_spread"] == pytest.approx(
        np.mean([entry["spread"] for entry in plain["landmarks"]])
    )


def test_a_single_landmark():
    health = Health([5.0], [0.0], [0.5], [False], [False], [])
    assert health.warnings() == []
