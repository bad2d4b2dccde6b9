import numpy as np
import pytest

from lmkit.points.linear import RIDGE, LinearMap, PartialMap


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


def test_fewer_images_than_unknowns_are_fitted_without_wild_slopes(rng):
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


def by_sklearn(model, inputs, outputs, new):
    model.fit(inputs.reshape(len(inputs), -1), outputs.reshape(len(outputs), -1))
    return model.predict(new.reshape(len(new), -1)).reshape(len(new), -1, 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("relative_to", ["mean", "largest"])
@pytest.mark.parametrize("ridge", [0, 1e-5, 1e-2])
def test_it_agrees_with_scikit_learn(rng, bias, relative_to, ridge):
    linear_model = pytest.importorskip("sklearn.linear_model")
    spread = np.array([2.0, 1.0, 0.3, 0.1])[:, None]
    inputs, new = points(rng, 60, 4) * spread, points(rng, 20, 4) * spread
    outputs = points(rng, 60, 3) + 7
    x = inputs.reshape(60, 8) - bias * inputs.reshape(60, 8).mean(axis=0)
    # Independent of the code under test: the largest entry of the matrix that is inverted.
    gram = x.T @ x
    alpha = ridge * (np.trace(gram) / 8 if relative_to == "mean" else gram.max())
    model = (
        linear_model.Ridge(alpha=alpha, fit_intercept=bias)
        if ridge
        else linear_model.LinearRegression(fit_intercept=bias)
    )
    own = LinearMap(inputs, outputs, bias=bias, ridge=ridge, relative_to=relative_to)
    expected = by_sklearn(model, inputs, outputs, new)
    assert np.allclose(own(new), expected, rtol=0, atol=1e-6)


def test_without_bias_it_is_least_squares_through_the_origin(rng):
    inputs, outputs, new = points(rng, 60, 5), points(rng, 60, 3) + 7, points(rng, 20, 5)
    matrix = np.linalg.lstsq(inputs.reshape(60, 10), outputs.reshape(60, 6), rcond=None)[0]
    expected = (new.reshape(20, 10) @ matrix).reshape(20, 3, 2)
    mapped = LinearMap(inputs, outputs, bias=False, ridge=0)(new)
    assert np.allclose(mapped, expected, rtol=0, atol=1e-6)
    assert np.allclose(LinearMap(inputs, outputs, bias=False, ridge=0)(0 * new), 0)


def test_without_bias_few_images_take_the_smallest_solution(rng):
    inputs, outputs, new = points(rng, 1, 4), points(rng, 1, 3), points(rng, 6, 4)
    x = inputs.reshape(1, 8)
    expected = (new.reshape(6, 8) @ x.T / (x @ x.T)) @ outputs.reshape(1, 6)
    mapped = LinearMap(inputs, outputs, bias=False, ridge=0)(new)
    assert np.allclose(mapped.reshape(6, 6), expected, atol=1e-9)


def test_each_point_is_fitted_where_it_is_known(rng):
    inputs, outputs, new = points(rng, 80, 4), points(rng, 80, 3), points(rng, 10, 4)
    outputs[::2, 1] = np.nan
    outputs[:, 2] = np.nan
    mapped = PartialMap(inputs, outputs, LinearMap)(new)
    assert np.allclose(mapped[:, :1], LinearMap(inputs, outputs[:, :1])(new))
    half = LinearMap(inputs[1::2], outputs[1::2, 1:2])(new)
    assert np.allclose(mapped[:, 1:2], half)
    assert np.isnan(mapped[:, 2]).all()


def test_points_that_are_all_known_are_fitted_at_once(rng):
    inputs, outputs, new = points(rng, 80, 4), points(rng, 80, 68), points(rng, 10, 4)
    fits = []

    def fit(x, y):
        fits.append(len(x))
        return LinearMap(x, y)

    mapped = PartialMap(inputs, outputs, fit)(new)
    assert fits == [80]
    assert np.allclose(mapped, LinearMap(inputs, outputs)(new))
