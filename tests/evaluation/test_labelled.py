import numpy as np
import pytest

from lmkit.evaluation import labelled
from lmkit.evaluation.detections import Detections
from lmkit.evaluation.labelled import few_labelled
from lmkit.evaluation.regression import JAKAB2018, LI2020, LMKIT, SANCHEZ2019
from lmkit.seeds import derive

SIDE = 64


def detections(rng, count, noise=0.05):
    """Landmarks that follow three points, on images that are squares already."""
    truth = rng.uniform(-0.6, 0.6, (count, 3, 2))
    found = np.concatenate([truth, truth[:, :1]], axis=1) + rng.normal(0, noise, (count, 4, 2))
    corners = np.tile([[-0.5, -0.5], [SIDE - 0.5, SIDE - 0.5]], (count, 1, 1))
    pixels = (truth + 1) * SIDE / 2 - 0.5
    numbers = list(range(count))
    return Detections(found, pixels, corners, numbers, [f"{number}.png" for number in numbers])


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    return detections(rng, 60), detections(rng, 25)


def table(parts, convention=LMKIT, **options):
    options = {"numbers": (1, 5, 10, 100), "draws": 4, "seed": 0, **options}
    return few_labelled(*parts, (0, 1), convention, **options)


def test_numbers_that_the_data_has_are_drawn_several_times(parts):
    rows = table(parts)
    assert [(row.number, row.images, row.draws) for row in rows] == [
        (1, 1, 4),
        (5, 5, 4),
        (10, 10, 4),
    ]
    assert [row.number for row in table(parts, numbers=(60, 61))] == [60]
    assert rows[0].nme > rows[1].nme > rows[2].nme
    assert all(row.sd > 0 for row in rows)


def test_n_plus_one_images_stand_for_n(parts):
    rows = table(parts, LI2020)
    assert [(row.number, row.images, row.draws) for row in rows] == [
        (1, 2, 1),
        (5, 6, 1),
        (10, 11, 1),
    ]
    assert all(row.sd is None for row in rows)
    assert [row.number for row in table(parts, LI2020, numbers=(59, 60))] == [59]
    assert {row.draws for row in table(parts, SANCHEZ2019)} == {10}


@pytest.mark.parametrize("convention", [LMKIT, SANCHEZ2019, JAKAB2018])
def test_each_draw_agrees_with_its_own_fit(parts, convention):
    fitting, testing = parts
    (row,) = table(parts, convention, numbers=(7,), seed=3)
    errors = []
    for draw in range(row.draws):
        own = np.random.default_rng(derive(3, "labelled", 7, draw)).permutation(60)[: row.images]
        found, truth = fitting.found[own], fitting.truth_in_square()[own]
        predicted = testing.to_pixels(convention.predict(found, truth, testing.found))
        distance = np.linalg.norm(predicted - testing.truth, axis=2).mean(axis=1)
        eyes = np.linalg.norm(testing.truth[:, 0] - testing.truth[:, 1], axis=1)
        errors.append(100 * (distance / eyes).mean())
    assert row.nme == pytest.approx(np.mean(errors), abs=1e-9)
    assert row.sd == pytest.approx(np.std(errors, ddof=1), abs=1e-9)


def test_a_draw_does_not_depend_on_the_others(parts):
    assert table(parts, numbers=(5,))[0] == table(parts)[1]
    assert table(parts, seed=1) != table(parts, seed=2)
    assert table(parts, numbers=(5, 5)) == table(parts, numbers=(5,))


def test_images_with_points_missing_are_never_drawn(parts):
    fitting, testing = parts
    fitting.truth[8:, 2] = np.nan
    assert [row.number for row in table((fitting, testing))] == [1, 5]
    whole = fitting.take(np.arange(60) < 8)
    (row,) = table((fitting, testing), numbers=(8,))
    assert row == table((whole, testing), numbers=(8,))[0]
    assert np.isfinite(row.nme)


def test_the_numbers_are_those_of_the_papers():
    assert labelled.NUMBERS == (1, 5, 10, 100, 500, 1000, 5000)
