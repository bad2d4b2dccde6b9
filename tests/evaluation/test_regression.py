import numpy as np
import pytest

from lmkit.evaluation.regression import (
    RIDGE,
    LinearMap,
    distances,
    normalised_errors,
    normalising_distance,
)


def points(rng, count, number, scale=1.0):
    return rng.normal(0.3, scale, (count, number, 2))


def least_squares(inputs, outputs):
    """Fit with numpy, bias as a column of ones, and return the same kind of function."""
    x = np.hstack([inputs.reshape(len(inputs), -1), np.ones((len(inputs), 1))])
    matrix = np.linalg.lstsq(x, outputs.reshape(len(outputs), -1), rcond=None)[0]

    def predict(new):
        ones = np.ones((len(new), 1))
        return (np.hstack([new.reshape(len(new), -1), ones]) @ matrix).reshape(len(new), -1, 2)

    return predict


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_without_a_ridge_it_is_least_squares_with_bias(rng):
    inputs, outputs, new = points(rng, 60, 5), points(rng, 60, 3) + 7, points(rng, 20, 5)
    expected = least_squares(inputs, outputs)(new)
    assert np.allclose(LinearMap(inputs, outputs, ridge=0)(new), expected, rtol=0, atol=1e-6)


def test_the_ridge_shrinks_each_slope_as_the_constant_says(rng):
    basis = rng.normal(size=(200, 4))
    basis, _ = np.linalg.qr(basis - basis.mean(axis=0))
    spread = np.array([2.0, 1.0, 0.1, 0.01])
    inputs = (basis * spread).reshape(200, 2, 2)
    slopes = rng.normal(size=(4, 4))
    outputs = (inputs.reshape(200, 4) @ slopes).reshape(200, 2, 2) + 3
    relative = spread**2 / (spread**2).mean()
    shrunk = slopes * (relative / (relative + RIDGE))[:, None]
    new = rng.normal(size=(9, 2, 2))
    expected = new.reshape(9, 4) @ shrunk + 3
    assert np.allclose(LinearMap(inputs, outputs)(new).reshape(9, 4), expected, atol=1e-9)


def test_an_exact_affine_function_is_found_to_the_share_the_ridge_takes(rng):
    inputs = points(rng, 300, 4)
    outputs = (inputs.reshape(300, 8) @ rng.normal(size=(8, 10)) + 2).reshape(300, 5, 2)
    mapped = LinearMap(inputs, outputs)(inputs)
    assert np.abs(mapped - outputs).max() < 20 * RIDGE


@pytest.mark.parametrize("count", [1, 3, 50])
def test_equal_landmarks_give_the_mean_shape(rng, count):
    outputs = points(rng, count, 5)
    mapped = LinearMap(np.full((count, 4, 2), 0.1), outputs)(np.full((2, 4, 2), 0.1))
    assert np.allclose(mapped, outputs.mean(axis=0), atol=1e-12)


def test_landmarks_that_fell_onto_one_another_do_not_blow_up(rng):
    one = points(rng, 40, 1)
    inputs = np.repeat(one, 6, axis=1)
    mapped = LinearMap(inputs, one * 2 + 1)(inputs)
    assert np.abs(mapped - (one * 2 + 1)).max() < 1e-3


def test_fewer_pictures_than_unknowns_are_fitted_without_wild_slopes(rng):
    inputs, outputs, new = points(rng, 5, 30), points(rng, 5, 5), points(rng, 50, 30)
    mapped = LinearMap(inputs, outputs)
    assert np.abs(mapped(inputs) - outputs).max() < 1e-2
    assert np.abs(mapped(new)).max() < 10


def test_moving_or_enlarging_the_inputs_changes_nothing(rng):
    inputs, outputs, new = points(rng, 40, 4), points(rng, 40, 3), points(rng, 10, 4)
    expected = LinearMap(inputs, outputs)(new)
    moved = LinearMap(inputs * 64 + 5, outputs)(new * 64 + 5)
    assert np.allclose(moved, expected, atol=1e-10)


def test_moving_and_enlarging_the_outputs_moves_and_enlarges_the_prediction(rng):
    inputs, outputs, new = points(rng, 40, 4), points(rng, 40, 3), points(rng, 10, 4)
    expected = LinearMap(inputs, outputs)(new) * 3 - 8
    assert np.allclose(LinearMap(inputs, outputs * 3 - 8)(new), expected, atol=1e-10)


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


def test_errors_do_not_depend_on_the_size_of_the_picture(rng):
    predicted = TRUTH + rng.normal(size=TRUTH.shape)
    expected = normalised_errors(predicted, TRUTH, (0, 1))
    assert np.allclose(normalised_errors(predicted * 4 + 9, TRUTH * 4 + 9, (0, 1)), expected)
