"""What is told of a run without annotation, on a run that trained in a second."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lmkit.data.image_files import load_image
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.controls import untrained
from lmkit.evaluation.label_free import ROUNDING, judge_run
from lmkit.evaluation.reconstruction import measure_reconstruction
from lmkit.evaluation.unlabelled import TRAINED, evaluate_unlabelled, write_sheets
from lmkit.interfaces.landmarks import Landmarks
from lmkit.preparation.of_run import own_data
from lmkit.run.run import open_run


@pytest.fixture(scope="module")
def opened(trained):
    run = open_run(trained, device="cpu")
    return run, own_data(run)


@pytest.fixture(scope="module")
def report(opened):
    return evaluate_unlabelled(*opened)


def judge(run, ready, **options):
    return judge_run(run, ready.dataset, ready.split.train, unreadable=Unreadable(1.0), **options)


class Brightest(torch.nn.Module):
    """Stands in for a detector: three landmarks around the brightest place of an image."""

    def forward(self, images):
        maps = (images.mean(dim=1) * 40).flatten(1).softmax(dim=1).unflatten(1, images.shape[-2:])
        places = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1] * 2 - 1
        x, y = (maps.sum(1) * places).sum(-1), (maps.sum(2) * places).sum(-1)
        around = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
        return Landmarks(torch.stack([x, y], dim=-1)[:, None] + around)


class Still(torch.nn.Module):
    """Stands in for a detector that collapsed: the same landmarks whatever the image."""

    def forward(self, images):
        points = torch.tensor([[-0.4, 0.0], [0.4, 0.0], [0.0, 0.4]])
        return Landmarks(points.expand(len(images), -1, -1))


def with_detector(run, detector):
    found = open_run(run.path, device="cpu")
    found.__dict__["detector"] = detector
    return found


def test_landmarks_that_follow_something_do_and_those_that_stay_do_not(opened):
    run, ready = opened
    following = judge(with_detector(run, Brightest()), ready).own
    assert following.followed > 0.2
    assert following.spread > 3
    still = judge(with_detector(run, Still()), ready)
    assert still.own.followed == 0
    assert still.own.surroundings == 0
    assert still.own.faults.share == 1
    assert still.verdict().level == "failed"


def test_the_control_is_the_untrained_network_on_the_same_images(opened):
    run, ready = opened
    found = judge(run, ready)
    before = judge(untrained(run), ready, controls=False)
    assert found.control.followed == pytest.approx(before.own.followed)
    assert found.control.equivariance == pytest.approx(before.own.equivariance)
    low, high = found.gain
    difference = found.own.followed - found.control.followed
    assert low - 2 * ROUNDING <= difference <= high + 2 * ROUNDING
    assert before.control is None


def test_followed_is_the_mean_over_images_of_what_each_adds(opened):
    own = judge(*opened).own
    assert own.followed == pytest.approx(
        1 - own.equivariance / np.nanmean(np.nanmean(own.moved, axis=1)), abs=ROUNDING
    )
    assert len(own.followed_per_landmark) == 3
    assert own.per_image.shape == (20,)


def test_the_batch_size_changes_nothing_but_where_deformations_follow_from_it(opened):
    first, second = (judge(*opened, batch_size=size).to_dict() for size in (3, 64))
    assert first["run"]["followed"] == pytest.approx(second["run"]["followed"], abs=1e-4)
    assert first["run"]["faults"] == second["run"]["faults"]


def test_reconstruction_stands_beside_leaving_the_image_as_it_is(opened):
    run, _ = opened
    squares = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    found = measure_reconstruction(run, squares, seed=0, batch_size=2)
    assert found.error > 0
    assert found.undrawn > 0
    flat = measure_reconstruction(run, torch.full_like(squares, 128), seed=0, batch_size=2)
    assert flat.undrawn == pytest.approx(0, abs=0.5)


def test_without_a_generator_there_is_no_reconstruction(opened):
    run, ready = opened
    without = open_run(run.path, device="cpu")
    without.__dict__["settings"] = replace(run.settings, generator={"name": "none"})
    assert judge(without, ready, controls=False).to_dict()["reconstruction"] is None


def test_the_report_is_of_held_out_images_and_ranks_them(opened, report):
    run, ready = opened
    assert report.indices == ready.split.test
    assert sorted(report.worst()) == [0, 1, 2, 3]
    own = report.judgement.own
    ordered = [(not own.faults.images[row], -own.per_image[row]) for row in report.worst()]
    assert ordered == sorted(ordered)
    plain = report.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["label_free"]["verdict"]["finding"] == report.verdict.finding
    assert plain["step"] == run.step


def test_everything_is_reproducible_and_another_seed_draws_others(opened, report):
    assert evaluate_unlabelled(*opened).to_dict() == report.to_dict()
    other = evaluate_unlabelled(*opened, seed=3)
    assert other.judgement.own.equivariance != report.judgement.own.equivariance


def test_what_is_written(opened, report, tmp_path):
    figures, images = report.write(tmp_path / "new")
    assert json.loads(figures.read_text()) == report.to_dict()
    with images.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [report.keys[row] for row in report.worst()]
    assert {row["at_fault"] for row in rows} <= {"0", "1"}
    written = write_sheets(report, opened[1].dataset, tmp_path / "sheets")
    assert [path.name for path in written] == ["faces.png", "worst.png"]
    for path in written:
        assert load_image(path).std() > 10


def test_where_nothing_is_held_out_it_looks_at_what_trained_and_says_so(opened):
    run, ready = opened
    nothing = replace(ready, split=replace(ready.split, test=[]))
    report = evaluate_unlabelled(run, nothing, images=5, controls=False)
    assert TRAINED in report.notes
    assert len(report.keys) == 5


def test_without_any_image_it_is_refused(opened):
    run, ready = opened
    empty = replace(ready, split=replace(ready.split, test=[], train=[]))
    with pytest.raises(LmkitError, match="no image to look at") as caught:
        evaluate_unlabelled(run, empty)
    assert caught.value.code == ExitCode.DATA


def test_a_single_image_is_enough(opened):
    run, ready = opened
    one = replace(ready, split=replace(ready.split, test=ready.split.test[:1]))
    report = evaluate_unlabelled(run, one)
    assert report.judgement.own.surroundings is None
    assert json.dumps(report.to_dict(), allow_nan=False)
