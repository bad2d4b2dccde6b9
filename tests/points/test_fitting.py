"""Maps to named points: fitted, chosen by cross-validation, and what they say of the labels."""

import numpy as np
import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.points.fitting import Choice, LabelledLandmarks, choose, folds
from lmkit.points.linear import WeightedMap
from lmkit.points.map import FittedWith
from lmkit.points.report import fit_points

DETECTOR = FittedWith("a" * 64, "runs/x", 5)


def labelled(count, *, noise=0.01, landmarks=6, seed=0, groups=None):
    """Landmarks on images of one shape that is shifted and turned, and two points between them."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(99).uniform(-0.5, 0.5, (landmarks, 2))
    angle = rng.uniform(-0.5, 0.5, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    clean = np.einsum("nij,kj->nki", turn.reshape(-1, 2, 2), shape)
    clean += rng.uniform(-0.3, 0.3, (count, 1, 2))
    truth = np.stack([clean[:, :2].mean(1), clean[:, 2:4].mean(1)], axis=1)
    found = clean + rng.normal(0, noise, clean.shape)
    own = np.arange(count) if groups is None else groups
    return LabelledLandmarks(found, truth, [f"{i}.png" for i in range(count)], own)


def test_a_weighted_map_follows_what_it_never_saw():
    data = labelled(8, noise=0)
    fitted = WeightedMap(data.found, data.truth, ridge=1e-9)
    moved = data.found @ np.array([[1.3, 0.4], [-0.2, 0.9]]) + [4, -7]
    expected = data.truth @ np.array([[1.3, 0.4], [-0.2, 0.9]]) + [4, -7]
    assert np.allclose(fitted(data.found), data.truth, atol=1e-5)
    plain = WeightedMap(data.found, data.truth, bias=False, ridge=1e-9)
    assert np.allclose(plain(moved), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["weighted", "linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_affine_form_is_the_map(kind, bias):
    data = labelled(30)
    choice = Choice(kind, bias, 1e-3)
    shift = 0.0 if bias else 1.0
    direct = choice._map(data.found + shift, data.truth + shift)(data.found + shift) - shift
    assert np.allclose(choice.fit(data)(data.found), direct)


def test_no_group_is_in_two_folds():
    groups = np.repeat(np.arange(7), 3)
    parts = list(folds(groups, 5, 0))
    assert len(parts) == 5
    assert np.array_equal(np.sum(parts, axis=0), np.ones(21))
    assert all(len(set(groups[part]) & set(groups[~part])) == 0 for part in parts)


def test_few_images_are_not_given_to_a_map_of_many_unknowns():
    assert choose(labelled(10), 0).kind == "weighted"


def test_the_error_falls_with_labels_and_enough_is_named():
    fit = fit_points(labelled(60, noise=0.03), ["a", "b"], DETECTOR, draws=4)
    assert [row.images for row in fit.curve] == [1, 2, 5, 10, 20]
    assert fit.curve[0].error > fit.curve[-1].error
    assert all(row.low <= row.error <= row.high for row in fit.curve)
    assert fit.needed is None or fit.needed in (5, 10, 20)
    assert fit.map.images == 60


def test_the_standard_error_is_that_of_images_not_fitted_to():
    fit = fit_points(labelled(80, noise=0.05), ["a", "b"], DETECTOR, numbers=())
    fresh = labelled(2000, noise=0.05, seed=5)
    off = np.sqrt(((fit.map(fresh.found) - fresh.truth) ** 2).mean(axis=0))
    assert np.allclose(fit.map.standard_error, off, rtol=0.35)


def test_a_wrong_label_is_found():
    data = labelled(40)
    data.truth[13, 1] += 0.5
    fit = fit_points(data, ["a", "b"], DETECTOR, numbers=())
    assert [(each.name, each.point) for each in fit.outliers] == [("13.png", "b")]


def test_points_that_are_known_on_some_images_are_fitted_on_those():
    data = labelled(40, noise=0)
    data.truth[:25, 0] = np.nan
    data.truth[39] = np.nan
    fit = fit_points(data, ["a", "b"], DETECTOR, numbers=())
    assert fit.map.images == 39
    full = labelled(40, noise=0)
    assert np.allclose(fit.map(full.found), full.truth, atol=0.02)


def test_a_point_that_is_never_known_is_left_out():
    data = labelled(20)
    data.truth[:, 0] = np.nan
    fit = fit_points(data, ["a", "b"], DETECTOR, numbers=())
    assert fit.map.names == ("b",)
    assert fit.notes == ["Left out, since no image has them labelled: a."]


def test_one_image_is_too_few():
    with pytest.raises(LmkitError, match="1 images have labelled points") as refused:
        fit_points(labelled(1), ["a", "b"], DETECTOR)
    assert refused.value.code == ExitCode.DATA


def test_images_of_one_group_alone_are_divided_all_the_same():
    fit = fit_points(labelled(20, groups=np.zeros(20, int)), ["a", "b"], DETECTOR, numbers=())
    assert np.isfinite(fit.error)
