"""Confidence against error: known answers, and what an evaluation says."""

import json

import numpy as np
import pytest

from lmkit.evaluation.charts import plot_reliability
from lmkit.evaluation.protocol import PLAIN, evaluate
from lmkit.evaluation.reliability import fit_falling, measure_reliability, rank_correlation
from lmkit.preparation.of_run import other_data
from lmkit.run.run import open_run
from lmkit.settings.layers import read_assignments


def test_ranks_are_spearmans():
    assert rank_correlation(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1)
    assert rank_correlation(np.arange(5.0), -np.exp(np.arange(5.0))) == pytest.approx(-1)
    # Ties share the mean of their ranks: scipy.stats.spearmanr([1, 2, 2, 4], [3, 1, 2, 2]).
    first, second = np.array([1.0, 2, 2, 4]), np.array([3.0, 1, 2, 2])
    scipy = pytest.importorskip("scipy.stats")
    assert rank_correlation(first, second) == pytest.approx(scipy.spearmanr(first, second)[0])
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None


def test_the_calibration_never_rises():
    confidence = np.array([0.1, 0.2, 0.3, 0.4, 0.4])
    errors = np.array([9.0, 5, 7, 1, 3])
    fitted = fit_falling(confidence, errors)
    assert fitted == [(0.1, 9), pytest.approx((0.25, 6)), pytest.approx((0.4, 2))]
    random = np.random.default_rng(0)
    confidence, errors = random.random(200), random.random(200)
    sure, expected = np.array(fit_falling(confidence, errors)).T
    assert (np.diff(sure) > 0).all()
    assert (np.diff(expected) < 0).all()
    model = pytest.importorskip("sklearn.isotonic").IsotonicRegression(increasing=False)
    wanted = np.unique(model.fit(confidence, errors).predict(confidence))
    assert np.allclose(np.sort(expected), wanted)


def test_a_confidence_that_tells_all_is_seen_to():
    random = np.random.default_rng(0)
    confidence, fit_confidence = random.random((40, 3)), random.random((60, 3))
    found = measure_reliability(
        fit_confidence, 10 * (1 - fit_confidence), confidence, 10 * (1 - confidence)
    )
    assert found is not None
    assert found.correlation == pytest.approx(-1)
    assert found.per_landmark == [pytest.approx(-1)] * 3
    assert found.images == pytest.approx(-1)
    assert [each.count for each in found.bins] == [12] * 10
    for each in found.bins:
        assert each.expected == pytest.approx(each.error, abs=0.5)
    assert found.bins[0].error > found.bins[-1].error
    assert measure_reliability(*[np.ones((2, 3))] * 4) is None


@pytest.fixture(scope="module")
def report(trained):
    run = open_run(trained, device="cpu")
    ready = other_data(run, [read_assignments(["data.count=80", "data.seed=5"])])
    return evaluate(run, ready, PLAIN), ready


def test_an_evaluation_tells_it(report):
    told = report[0].to_dict()["reliability"]
    assert len(told["per_landmark"]) == 3
    assert -1 <= told["rank_correlation"] <= 1
    assert sum(each["count"] for each in told["bins"]) == 3 * report[0].complete_images
    # The same landmarks as the backward error's.
    weighted = [each["count"] * each["error"] for each in told["bins"]]
    assert sum(weighted) / (3 * report[0].complete_images) == pytest.approx(report[0].backward)
    json.dumps(told)


def test_it_is_drawn(report, tmp_path):
    pytest.importorskip("matplotlib")
    found = report[0].reliability
    plot_reliability(
        tmp_path / "reliability.png",
        [each.confidence for each in found.bins],
        [each.error for each in found.bins],
        found.calibration,
        unit="percent",
    )
    assert (tmp_path / "reliability.png").stat().st_size > 5000
