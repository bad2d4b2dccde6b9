"""Whether a difference is larger than its noise: closed forms, words, and coverage."""

import numpy as np
import pytest

from lmkit.comparison.significance import Difference, Seeds
from lmkit.evaluation.measures import Interval

ERRORS = np.random.default_rng(0).gamma(3, 4, 200)


def difference(errors, others):
    return Difference.of("a", np.asarray(errors, float), "b", np.asarray(others, float))


def test_identical_errors_differ_by_exactly_nothing():
    found = difference(ERRORS, ERRORS)
    assert found.points == 0
    assert found.interval == (0, 0)
    assert not found.beyond_noise
    assert found.words == "no difference beyond noise [0.00, 0.00]"


@pytest.mark.parametrize("shift", [1e-9, 0.25, -3.0])
def test_a_constant_shift_is_always_beyond_noise(shift):
    # Whole numbers and a power of two, so that the shift is exact.
    errors = np.arange(50.0)
    found = difference(errors + shift, errors)
    assert found.beyond_noise
    assert found.points == pytest.approx(shift, rel=1e-5)
    assert found.interval == pytest.approx((shift, shift), rel=1e-5)


def test_what_both_find_hard_is_no_noise():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, 200)
    paired = difference(ERRORS + 0.2 + noise, ERRORS)
    assert paired.beyond_noise
    apart = difference(rng.permutation(ERRORS + 0.2 + noise), ERRORS)
    assert not apart.beyond_noise


def test_the_interval_has_the_width_of_the_mean_of_differences():
    rng = np.random.default_rng(2)
    apart = rng.normal(0.5, 2.0, 400)
    found = difference(ERRORS.mean() + apart, np.full(400, ERRORS.mean()))
    half = 1.96 * apart.std() / np.sqrt(400)
    assert found.interval == pytest.approx((apart.mean() - half, apart.mean() + half), abs=0.03)


def test_turned_around_it_says_the_opposite():
    found = Difference("a", "b", -1.2, Interval(-1.6, -0.8))
    assert found.words == "smaller by 1.20 points [0.80, 1.60]"
    turned = found.turned()
    assert (turned.first, turned.second, turned.points) == ("b", "a", 1.2)
    assert turned.words == "larger by 1.20 points [0.80, 1.60]"
    assert turned.turned() == found
    assert found.to_dict() == {
        "first": "a",
        "second": "b",
        "points": -1.2,
        "interval": {"low": -1.6, "high": -0.8, "level": 0.95},
        "beyond_noise": True,
        "words": found.words,
    }


def test_seeds_are_summarised_by_mean_and_standard_deviation_of_a_sample():
    found = Seeds.of(["x", "y", "z"], [0, 1, 2], [10.0, 12.0, 14.0])
    assert (found.mean, found.sd) == (12, 2)
    assert found.to_dict()["seeds"] == [0, 1, 2]
