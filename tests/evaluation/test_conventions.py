import numpy as np
import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.regression import (
    CONVENTIONS,
    DVE2019,
    JAKAB2018,
    LI2020,
    LMKIT,
    SANCHEZ2019,
    convention,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_what_the_papers_state_and_ran():
    kinds = {name: (each.bias, each.ridge, each.origin) for name, each in CONVENTIONS.items()}
    assert kinds == {
        "lmkit": (True, 1e-4, "corner"),
        "li2020": (True, 1e-5, "corner"),
        "sanchez2019": (True, 1e-5, "corner"),
        "jakab2018": (False, 0, "corner"),
        "dve2019": (False, 0, "centre"),
    }
    assert {name for name, each in CONVENTIONS.items() if each.extra_images} == {
        "li2020",
        "sanchez2019",
    }
    assert (LI2020.draws, SANCHEZ2019.draws, LMKIT.draws) == (1, 10, None)


def test_a_landmark_that_follows_its_point_at_a_distance():
    """By hand: the truth is half a side to the right of the landmark, in x alone."""
    found = np.array([[[-0.5, 0.0]], [[0.0, 0.5]], [[0.5, -0.5]], [[0.0, 0.0]]])
    truth = found + np.array([0.5, 0.0])
    new = np.array([[[0.25, 0.25]]])
    assert np.allclose(LI2020.predict(found, truth, new), [[[0.75, 0.25]]], atol=1e-4)
    assert np.allclose(LMKIT.predict(found, truth, new), [[[0.75, 0.25]]], atol=1e-4)
    # From the centre, y maps to y and x to ((x.x + 0.5 sum x) / x.x) x = x, as sum x is 0: the
    # half side is lost altogether.
    assert np.allclose(DVE2019.predict(found, truth, new), [[[0.25, 0.25]]], atol=1e-12)
    # From the corner, x and y together make up for a part of it.
    x = found.reshape(4, 2) + 1
    matrix = np.linalg.solve(x.T @ x, x.T @ (truth.reshape(4, 2) + 1))
    by_hand = (new.reshape(1, 2) + 1) @ matrix - 1
    predicted = JAKAB2018.predict(found, truth, new).reshape(1, 2)
    assert np.allclose(predicted, by_hand, atol=1e-12)
    assert not np.allclose(predicted, [[0.75, 0.25]], atol=0.01)


def test_without_bias_the_origin_is_where_all_landmarks_at_it_are_sent(rng):
    found, truth = rng.uniform(-1, 1, (30, 4, 2)), rng.uniform(-1, 1, (30, 3, 2))
    corner, centre = np.full((1, 4, 2), -1.0), np.zeros((1, 4, 2))
    assert np.allclose(JAKAB2018.predict(found, truth, corner), -1)
    assert np.allclose(DVE2019.predict(found, truth, centre), 0)


@pytest.mark.parametrize("chosen", [LMKIT, LI2020])
def test_with_bias_the_origin_does_not_matter(rng, chosen):
    found, truth = rng.uniform(-1, 1, (30, 4, 2)), rng.uniform(-1, 1, (30, 3, 2))
    new = rng.uniform(-1, 1, (9, 4, 2))
    expected = chosen.linear_map(found, truth)(new)
    assert np.allclose(chosen.predict(found, truth, new), expected, atol=1e-9)


@pytest.mark.parametrize("chosen", CONVENTIONS.values(), ids=CONVENTIONS)
def test_one_image_is_predicted_everywhere_or_spanned(rng, chosen):
    """With bias one image gives its own points; without, a map through the origin."""
    found, truth = rng.uniform(0.1, 1, (1, 4, 2)), rng.uniform(0.1, 1, (1, 3, 2))
    new = rng.uniform(-1, 1, (5, 4, 2))
    predicted = chosen.predict(found, truth, new)
    assert np.isfinite(predicted).all()
    assert np.allclose(predicted, truth) is chosen.bias
    assert np.allclose(chosen.predict(found, truth, found), truth)


def test_points_that_are_never_known_are_not_predicted(rng):
    found, truth = rng.uniform(-1, 1, (30, 4, 2)), rng.uniform(-1, 1, (30, 3, 2))
    truth[:, 1] = np.nan
    for chosen in CONVENTIONS.values():
        predicted = chosen.predict(found, truth, found)
        assert np.isnan(predicted[:, 1]).all()
        assert np.isfinite(predicted[:, [0, 2]]).all()


def test_a_convention_says_what_it_does():
    assert LMKIT.describe() == "with bias, ridge 0.0001 of the mean variance"
    assert SANCHEZ2019.describe() == "with bias, ridge 1e-05 of the largest variance"
    assert JAKAB2018.describe() == "without bias, origin at the corner, no ridge"
    assert DVE2019.to_dict() == {
        "convention": "dve2019",
        "bias": False,
        "ridge": 0.0,
        "ridge_relative_to": None,
        "origin": "centre",
    }


def test_an_unknown_convention_is_refused():
    assert convention("dve2019") is DVE2019
    with pytest.raises(LmkitError, match="no convention 'sanchez'") as caught:
        convention("sanchez")
    assert "Did you mean 'sanchez2019'?" in caught.value.remedy
    assert caught.value.code == ExitCode.USAGE
    with pytest.raises(LmkitError) as caught:
        convention("paper")
    assert "dve2019, jakab2018, li2020, lmkit, sanchez2019" in caught.value.remedy
