"""The untrained network is exactly the one that training began with; fixed points know nothing."""

import shutil

import numpy as np
import pytest
import torch

from lmkit.data.unreadable import Unreadable
from lmkit.errors import LmkitError
from lmkit.evaluation.controls import fixed_points, untrained
from lmkit.evaluation.detections import detect_parts
from lmkit.evaluation.protocol import PLAIN, Protocol, evaluate
from lmkit.evaluation.regression import CONVENTIONS
from lmkit.evaluation.stability import deviations, rotations
from lmkit.preparation.of_run import own_data
from lmkit.run.run import open_run
from lmkit.runtime.assemble import assemble
from lmkit.storage import read_json, write_json


@pytest.fixture(scope="module")
def measured(trained):
    run = open_run(trained, device="cpu")
    ready = own_data(run)
    return run, ready, evaluate(run, ready, Protocol(labelled=(1,), stability=3, label_free=0))


def test_its_weights_are_those_that_training_begins_with(trained, registry):
    run = open_run(trained, device="cpu")
    before = untrained(run)
    first = assemble(run.full_settings, registry).detector.state_dict()
    found = before.detector.state_dict()
    assert found.keys() == first.keys()
    for name, value in first.items():
        assert torch.equal(found[name], value), name
    trained_weights = run.detector.state_dict()
    assert any(not torch.equal(found[name], trained_weights[name]) for name in found)
    assert (before.step, run.step) == (0, 4)


def test_another_seed_is_another_control(trained, tmp_path):
    other = shutil.copytree(trained, tmp_path / "other")
    record = read_json(other / "run.json")
    record["settings"]["run"]["seed"] = 5
    del record["checksum"]
    write_json(other / "run.json", record)
    first, second = (
        next(untrained(open_run(path, device="cpu")).detector.parameters())
        for path in (trained, other)
    )
    assert not torch.equal(first, second)


def test_its_error_is_that_of_an_evaluation_of_it(measured):
    run, ready, report = measured
    control = report.controls.untrained
    own = evaluate(untrained(run), ready, PLAIN)
    assert control.nme == pytest.approx(own.forward)
    assert control.backward == pytest.approx(own.backward)
    assert control.run == pytest.approx(report.forward)
    assert control.stability.images == 3
    assert (control.fit_images, control.test_images) == (20, 4)
    assert report.untrained == control.nme
    low, high = control.difference
    assert low <= report.forward - control.nme <= high


def test_it_looks_at_no_more_images_than_asked_and_both_are_fitted_on_these(measured):
    run, ready, _ = measured
    few = Protocol(labelled=(), stability=0, controls=3, label_free=0)
    report = evaluate(run, ready, few)
    control = report.controls.untrained
    assert (control.fit_images, control.test_images) == (3, 3)
    assert control.run != pytest.approx(report.forward)


def test_a_network_that_never_trained_does_not_beat_itself(measured):
    run, ready, _ = measured
    report = evaluate(untrained(run), ready, Protocol(labelled=(), stability=0, label_free=4))
    assert report.controls.untrained.difference == (0.0, 0.0)
    assert not report.controls.untrained.beaten
    assert report.verdict.level in ("failed", "no better than untrained")
    assert "The error is no better than that of the same network untrained." in report.warnings()


def test_without_controls_there_are_none(measured):
    run, ready, _ = measured
    report = evaluate(run, ready, PLAIN)
    assert report.controls.to_dict() == {"untrained": None, "fixed_points": None}
    assert report.untrained is None


def test_where_initial_weights_cannot_be_had_it_says_so_and_goes_on(measured, monkeypatch):
    run, ready, _ = measured

    def refuse(self):
        raise LmkitError("The weights are gone.", remedy="Find them.")

    monkeypatch.setattr(type(run.detector), "initialise", refuse)
    report = evaluate(run, ready, Protocol(labelled=(), stability=0, label_free=4))
    said = "There is no untrained control: The weights are gone."
    assert said in report.notes
    assert report.untrained is None
    assert report.judgement.control is None
    assert report.controls.fixed_points.nme == pytest.approx(report.mean_shape)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_fixed_points_have_the_mean_shapes_error_and_no_backward_error(measured, name):
    run, ready, _ = measured
    protocol = Protocol(CONVENTIONS[name], labelled=(), stability=2, label_free=0)
    report = evaluate(run, ready, protocol)
    fixed = report.controls.fixed_points
    assert fixed.nme == pytest.approx(report.mean_shape, rel=1e-6)
    assert fixed.backward == pytest.approx(0, abs=1e-6)
    assert fixed.stability > 5


def test_fixed_points_fail_to_follow_by_all_that_an_image_turns(measured):
    run, ready, report = measured
    points = fixed_points(report.detections.shape[1], seed=0)
    _, testing = detect_parts(
        run,
        ready.dataset,
        ready.split.fit,
        ready.split.test[:1],
        batch_size=8,
        unreadable=Unreadable(1.0),
        progress=lambda done: None,
    )
    found = torch.from_numpy(points).float()[None]
    moved = deviations(found, found, rotations(testing.keys, 0))
    one = evaluate(
        run,
        ready,
        Protocol(labelled=(), stability=1, label_free=0),
    )
    assert one.controls.fixed_points.stability == pytest.approx(float(np.nanmean(moved)))
