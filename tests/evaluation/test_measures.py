from itertools import pairwise

import numpy as np
import pytest

from lmkit.errors import LmkitError
from lmkit.evaluation.measures import (
    Curve,
    bootstrap,
    distances,
    mean_known,
    normalised_errors,
    normalising_distance,
    pair_by_name,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


TRUTH = np.array([[[0.0, 0], [10, 0], [5, 5]], [[0, 0], [0, 20], [5, 5]]])


def test_errors_are_distances_as_shares_of_the_distance_of_the_pair():
    predicted = TRUTH + np.array([[[3, 4], [0, 0], [0, 1]], [[3, 4], [0, 2], [0, 0]]])
    assert distances(predicted, TRUTH).tolist() == [[5, 0, 1], [5, 2, 0]]
    assert normalising_distance(TRUTH, (0, 1)).tolist() == [10, 20]
    errors = normalised_errors(predicted, TRUTH, (0, 1))
    assert np.allclose(errors, [[0.5, 0, 0.1], [0.25, 0.1, 0]])


def test_another_pair_normalises_otherwise():
    errors = normalised_errors(TRUTH + np.array([3, 4]), TRUTH, (0, 2))
    assert np.allclose(errors, 5 / np.sqrt(50))


def test_errors_do_not_depend_on_the_size_of_the_image(rng):
    predicted = TRUTH + rng.normal(size=TRUTH.shape)
    expected = normalised_errors(predicted, TRUTH, (0, 1))
    assert np.allclose(normalised_errors(predicted * 4 + 9, TRUTH * 4 + 9, (0, 1)), expected)


def test_what_is_not_known_counts_for_nothing():
    values = np.array([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan]])
    assert mean_known(values, axis=1)[:2].tolist() == [2, 5]
    assert np.isnan(mean_known(values, axis=1)[2])
    assert mean_known(values, axis=0).tolist() == [1, 4]


def integrated(errors, threshold, steps=200_000):
    """The area by brute force: the mean of the curve at the middles of many steps."""
    at = (np.arange(steps) + 0.5) * threshold / steps
    return (np.searchsorted(np.sort(errors), at, side="right") / len(errors)).mean()


@pytest.mark.parametrize("threshold", [2.0, 10.0, 50.0])
def test_the_area_is_the_integral_of_the_step_function(rng, threshold):
    errors = rng.gamma(2, 4, 300)
    curve = Curve.of(errors, threshold)
    assert curve.area == pytest.approx(integrated(errors, threshold), abs=1e-5)
    # Exactly: between two errors in order the curve is flat.
    steps = np.concatenate([[0], np.sort(errors[errors < threshold]), [threshold]])
    exact = sum(
        (after - before) * number / 300 for number, (before, after) in enumerate(pairwise(steps))
    )
    assert curve.area == pytest.approx(exact / threshold, abs=1e-12)
    assert curve.failure_rate == (errors > threshold).mean()


def test_the_curve_by_hand():
    curve = Curve.of(np.array([0.0, 5.0, 10.0, 20.0]), 10)
    assert curve.failure_rate == 0.25
    assert curve.area == (10 + 5) / 4 / 10
    assert (curve.errors[0], curve.errors[-1], len(curve.errors)) == (0, 10, 101)
    assert curve.shares[0] == 0.25
    assert curve.shares[49] == 0.25
    assert curve.shares[50] == 0.5
    assert curve.shares[-1] == 0.75
    assert Curve.of(np.zeros(3), 10).area == 1
    assert Curve.of(np.full(3, 11.0), 10).area == 0


def test_the_interval_is_reproducible_and_another_seed_draws_others(rng):
    errors = rng.normal(5, 1, 400)
    assert bootstrap(errors, seed=3) == bootstrap(errors, seed=3)
    assert bootstrap(errors, seed=3) != bootstrap(errors, seed=4)


def test_the_interval_has_the_width_that_theory_gives_it(rng):
    errors = rng.normal(5, 2, 1000)
    low, high = bootstrap(errors, seed=0, resamples=4000)
    expected = 1.96 * errors.std() / np.sqrt(1000)
    assert high - errors.mean() == pytest.approx(expected, rel=0.08)
    assert errors.mean() - low == pytest.approx(expected, rel=0.08)


def test_the_interval_covers_the_mean_as_often_as_it_says(rng):
    truth, trials = 5.0, 200
    intervals = [bootstrap(rng.normal(truth, 2, 60), seed=trial) for trial in range(trials)]
    covered = sum(low <= truth <= high for low, high in intervals)
    assert 0.88 < covered / trials < 0.99


def test_one_image_has_an_interval_of_no_width():
    assert bootstrap(np.array([4.0]), seed=0) == (4.0, 4.0)


def test_many_images_are_drawn_in_parts(rng, monkeypatch):
    errors = rng.normal(5, 2, 50)
    whole = bootstrap(errors, seed=1)
    monkeypatch.setattr("lmkit.evaluation.measures._AT_A_TIME", 500)
    assert bootstrap(errors, seed=1) == whole


NAMES = ("left eye", "right eye", "nose")


@pytest.mark.parametrize(
    ("text", "pair"), [("0,2", (0, 2)), ("nose, left eye", (2, 0)), ("1,nose", (1, 2))]
)
def test_the_pair_is_named_or_counted(text, pair):
    assert pair_by_name(text, NAMES) == pair


@pytest.mark.parametrize(
    ("text", "problem"),
    [("0,3", "no point '3'"), ("0,0", "two different"), ("nose", "two different"), ("", "'' ")],
)
def test_a_pair_that_is_none_is_refused(text, problem):
    with pytest.raises(LmkitError, match="Errors cannot be normalised by") as caught:
        pair_by_name(text, NAMES)
    assert problem.strip() in str(caught.value)
    assert "left eye, right eye, nose" in caught.value.remedy


def test_of_many_points_a_message_names_the_range():
    with pytest.raises(LmkitError) as caught:
        pair_by_name("36,99", [str(number) for number in range(68)])
    assert "0 to 67" in caught.value.remedy
