import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmkit.data.framing import Framer, Framing
from lmkit.data.split import Split
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.protocol import FULL, PLAIN, QUICK, Protocol, evaluate
from lmkit.evaluation.regression import CONVENTIONS, DVE2019, JAKAB2018, SANCHEZ2019
from lmkit.interfaces.dataset import Annotation, Dataset
from lmkit.interfaces.landmarks import Landmarks
from lmkit.prediction.stream import Predictor
from lmkit.preparation.prepared import Prepared

SIZE = 16


class Shapes(Dataset):
    """Images of one colour and of any size; the colour is the image's number."""

    def __init__(self, sizes, seed=0, points=3):
        rng = np.random.default_rng(seed)
        self.point_names = ("left eye", "right eye", "nose")
        if points != 3:
            self.point_names = tuple(str(number) for number in range(points))
        self.sizes = sizes
        self.points = []
        for width, height in sizes:
            # Whole pixels are kept by the colour's image; points may lie anywhere in it.
            own = rng.uniform(0.3, 0.7, (points, 2)) * (width, height)
            self.points.append(own.astype(np.float32))
        self.broken = set()

    def __len__(self):
        return len(self.sizes)

    def key(self, index):
        return f"shape-{index}"

    def image(self, index):
        if index in self.broken:
            raise OSError("it is damaged")
        width, height = self.sizes[index]
        return np.full((height, width, 3), index, np.uint8)

    def annotation(self, index):
        return Annotation(points=self.points[index])


class Knowing:
    """Stands in for a run; its detector returns an affine function of the truth."""

    def __init__(self, dataset, fit="crop", matrix=None, noise=0.0):
        self.settings = SimpleNamespace(
            run=SimpleNamespace(image_size=SIZE),
            loading=SimpleNamespace(fit=fit, workers=0, max_unreadable=0.2),
        )
        self.framer = Framer(SIZE, fit)
        self.predictor = Predictor(self.detect, self.framer, torch.device("cpu"), workers=0)
        self.step = 7
        self.largest_batch = 0
        rng = np.random.default_rng(1)
        count = len(dataset.point_names)
        matrix = rng.normal(size=(2 * count, 8)) if matrix is None else matrix
        self.answers = []
        for (width, height), points in zip(dataset.sizes, dataset.points, strict=True):
            truth = np.zeros((count, 2)) if points is None else np.nan_to_num(points)
            square = Framing.of(width, height, SIZE, fit).to_normalised(truth).reshape(-1)
            answer = square @ matrix + rng.normal(size=8) * noise
            self.answers.append((answer + 0.1).reshape(4, 2))

    def detect(self, images):
        assert images.shape[1:] == (3, SIZE, SIZE)
        images = (images * 255).round()
        self.largest_batch = max(self.largest_batch, len(images))
        own = [self.answers[int(image[0, 0, 0])] for image in images]
        return Landmarks(points=torch.tensor(np.stack(own)).float())


MIXED = [(40, 30), (30, 50), (64, 64), (16, 16), (90, 20)] * 24
FIT, TEST = list(range(80)), list(range(80, 120))


def measure(run, dataset, protocol=PLAIN, *, fit=FIT, test=TEST, max_unreadable=0.2, **options):
    settings = SimpleNamespace(loading=SimpleNamespace(max_unreadable=max_unreadable))
    # It has no run folder to be built anew from, untrained.
    protocol = replace(protocol, controls=0, label_free=0)
    ready = Prepared(
        settings, dataset, Split([], fit, test), run.framer, Unreadable(max_unreadable)
    )
    return evaluate(run, ready, protocol, data="shapes", **options)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_detector_that_knows_the_truth_has_no_error(fit):
    dataset = Shapes(MIXED)
    report = measure(Knowing(dataset, fit), dataset)
    assert report.forward < 0.2
    assert report.mean_shape > 10
    assert report.fit == fit


def test_landmarks_that_follow_the_annotation_have_no_backward_error_others_do():
    dataset = Shapes(MIXED)
    assert measure(Knowing(dataset), dataset).backward < 0.2
    assert measure(Knowing(dataset, noise=0.3), dataset).backward > 5


def test_a_detector_that_knows_nothing_is_the_mean_shape():
    dataset = Shapes(MIXED)
    report = measure(Knowing(dataset, matrix=np.zeros((6, 8))), dataset)
    assert report.forward == pytest.approx(report.mean_shape, rel=1e-9)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_mean_shape_is_measured_in_pixels_of_the_original(fit):
    sizes = [(32, 32)] * 4 + [(96, 64)]
    dataset = Shapes(sizes)
    test = 4
    # For equal fitting sizes the mean in the square is the mean in their pixels.
    mean = np.mean(np.stack(dataset.points[:4]).astype(np.float64), axis=0)
    corner = (mean + 0.5) / 32 * SIZE
    scale, offset = {
        "crop": ((SIZE / 64, SIZE / 64), (-SIZE / 4, 0)),
        "pad": ((SIZE / 96, 11 / 64), (0, 2)),
        "stretch": ((SIZE / 96, SIZE / 64), (0, 0)),
    }[fit]
    guess = (corner - offset) / scale - 0.5
    truth = dataset.points[test].astype(np.float64)
    expected = np.linalg.norm(guess - truth, axis=1).mean() / np.linalg.norm(truth[0] - truth[1])
    report = measure(Knowing(dataset, fit), dataset, fit=list(range(4)), test=[test])
    assert report.mean_shape == pytest.approx(100 * expected, rel=1e-9)


def test_the_pair_that_normalises_is_the_datas():
    dataset = Shapes(MIXED)
    eyes = measure(Knowing(dataset, noise=0.1), dataset)
    dataset.normalising_pair = (0, 2)
    other = measure(Knowing(dataset, noise=0.1), dataset)
    assert eyes.unit == "percent of the distance between left eye and right eye"
    assert other.unit == "percent of the distance between left eye and nose"
    assert eyes.forward != other.forward


def test_images_without_points_are_left_out():
    dataset = Shapes(MIXED)
    run = Knowing(dataset)
    for index in (0, 1, 80):
        dataset.points[index] = None
    dataset.points[2] = np.full((3, 2), np.nan, np.float32)
    report = measure(run, dataset)
    assert (report.fit_images, report.test_images) == (77, 39)
    assert report.forward < 0.2


def test_unreadable_images_are_left_out_and_counted_up_to_the_limit():
    dataset = Shapes(MIXED)
    dataset.broken = {3, 90}
    report = measure(Knowing(dataset), dataset)
    assert (report.fit_images, report.test_images, report.unreadable) == (79, 39, 2)
    assert report.forward < 0.2
    dataset.broken = set(range(30))
    assert measure(Knowing(dataset), dataset, max_unreadable=0.5).unreadable == 30
    with pytest.raises(LmkitError, match="30 of 120 images") as caught:
        measure(Knowing(dataset), dataset)
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(("part", "word"), [(FIT, "fit"), (TEST, "test")])
def test_data_without_annotation_is_refused(part, word):
    dataset = Shapes(MIXED)
    run = Knowing(dataset)
    for index in part:
        dataset.points[index] = None
    with pytest.raises(LmkitError, match=f"shapes has no annotated image to {word} with") as e:
        measure(run, dataset)
    assert e.value.code == ExitCode.DATA
    assert "--data" in e.value.remedy


def test_data_without_a_held_out_part_is_refused():
    dataset = Shapes(MIXED)
    with pytest.raises(LmkitError, match="no image to test with: none is held out"):
        measure(Knowing(dataset), dataset, test=[])


def test_images_that_cannot_be_read_at_all_are_refused():
    dataset = Shapes(MIXED)
    dataset.broken = set(FIT)
    with pytest.raises(LmkitError, match="None of 80 annotated images can be read"):
        measure(Knowing(dataset), dataset)


def test_the_batch_size_changes_nothing_and_progress_is_told():
    dataset = Shapes(MIXED)
    heard = []
    run = Knowing(dataset)
    small = measure(run, dataset, QUICK, batch_size=32, progress=lambda *both: heard.append(both))
    assert run.largest_batch == 32
    assert heard == [(done, 120) for done in range(1, 121)]
    large = measure(Knowing(dataset), dataset, QUICK, batch_size=500)
    assert small.to_dict() == large.to_dict()


def test_the_json_form():
    dataset = Shapes(MIXED)
    report = measure(Knowing(dataset, noise=0.2), dataset).to_dict()
    per_point = report["forward"]["per_point"]
    assert list(per_point) == ["left eye", "right eye", "nose"]
    assert report["forward"]["nme"] == pytest.approx(np.mean(list(per_point.values())))
    assert report["forward"]["bias"] is True
    assert report["forward"]["convention"] == "lmkit"
    assert report["forward"]["interval"]["low"] < report["forward"]["nme"]
    assert report["forward"]["nme"] < report["forward"]["interval"]["high"]
    assert report["with_bias"]["nme"] == report["by_convention"]["lmkit"]
    assert report["without_bias"]["nme"] == report["by_convention"]["jakab2018"]
    assert (report["without_bias"]["bias"], report["without_bias"]["origin"]) == (False, "corner")
    assert len(report["backward"]["per_landmark"]) == 4
    assert report["backward"]["nme"] == pytest.approx(np.mean(report["backward"]["per_landmark"]))
    assert set(report["mean_shape"]) == {"nme"}
    assert report["images"] == {"fit": 80, "test": 40, "test_complete": 40, "without_pair": 0}
    assert report["normalised_by"] == ["left eye", "right eye"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["unit"] == "percent of the distance between left eye and right eye"
    rest = {"data": "shapes", "fit": "crop", "step": 7, "unreadable": 0, "seed": 0}
    assert report.items() >= rest.items()


def refit(report, dataset, name):
    """The main figure of a convention from the pixels up, with numpy alone."""
    rows = {"fit": FIT, "test": TEST}
    found, truth = {}, {}
    for part, indices in rows.items():
        run = Knowing(dataset, noise=0.2)
        found[part] = np.stack([run.answers[i].astype(np.float32) for i in indices]).reshape(-1, 8)
        square = [
            Framing.of(*dataset.sizes[i], SIZE, "crop").to_normalised(dataset.points[i])
            for i in indices
        ]
        truth[part] = np.stack(square).reshape(-1, 6)
    found = {part: values.astype(np.float64) for part, values in found.items()}
    bias = {"jakab2018": None, "dve2019": None}.get(name, 1)
    move = SIZE / 2 if name == "jakab2018" else 0  # pixels from the corner of the square
    x, y, new = (v * SIZE / 2 + move for v in (found["fit"], truth["fit"], found["test"]))
    centre = (x.mean(axis=0), y.mean(axis=0)) if bias else (0, 0)
    x, y = x - centre[0], y - centre[1]
    gram = x.T @ x
    ridge = {"lmkit": 1e-4 * np.trace(gram) / 8, "li2020": 1e-5 * gram.max()}
    ridge["sanchez2019"] = ridge["li2020"]
    matrix = np.linalg.solve(gram + ridge.get(name, 0) * np.eye(8), x.T @ y)
    predicted = ((new - centre[0]) @ matrix + centre[1] - move) / (SIZE / 2)
    errors = []
    for i, own in zip(TEST, predicted.reshape(-1, 3, 2), strict=True):
        pixels = Framing.of(*dataset.sizes[i], SIZE, "crop").to_pixels(own)
        points = dataset.points[i].astype(np.float64)
        distance = np.linalg.norm(points[0] - points[1])
        errors.append(np.linalg.norm(pixels - points, axis=1) / distance)
    return 100 * np.mean(errors)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_agrees_with_a_computation_from_the_pixels_up(name):
    dataset = Shapes(MIXED)
    protocol = Protocol(CONVENTIONS[name], labelled=(), stability=0)
    report = measure(Knowing(dataset, noise=0.2), dataset, protocol)
    expected = refit(report, dataset, name)
    assert report.forward == pytest.approx(expected, abs=1e-6)
    assert report.by_convention[name] == pytest.approx(expected, abs=1e-6)
    assert report.convention.name == name


def test_figures_with_and_without_bias_are_both_there_and_never_mixed_up():
    dataset = Shapes(MIXED)
    run = Knowing(dataset, noise=0.2)
    assert len(set(measure(run, dataset).by_convention.values())) == 4  # li2020 and sanchez2019
    for chosen, with_bias, without in (
        (SANCHEZ2019, "sanchez2019", "jakab2018"),
        (JAKAB2018, "lmkit", "jakab2018"),
        (DVE2019, "lmkit", "dve2019"),
    ):
        report = measure(run, dataset, Protocol(chosen, labelled=(), stability=0)).to_dict()
        assert report["forward"]["convention"] == chosen.name
        assert report["with_bias"]["convention"] == with_bias
        assert report["without_bias"]["convention"] == without
        assert (report["with_bias"]["bias"], report["without_bias"]["bias"]) == (True, False)
        for figure in ("with_bias", "without_bias"):
            named = report[figure]["convention"]
            assert report[figure]["nme"] == report["by_convention"][named]


def test_what_the_origin_is_matters_without_a_bias_alone():
    """A landmark a constant from its point: with bias no error, without it is off by that."""
    dataset = Shapes([(16, 16)] * 120)
    # The fourth landmark is the first: one that never moved would stand in for the bias.
    run = Knowing(dataset, matrix=np.hstack([np.eye(6), np.eye(6, 2)]))
    errors = measure(run, dataset).by_convention
    assert errors["lmkit"] < 0.1
    assert errors["jakab2018"] > 10 * errors["lmkit"]
    assert errors["dve2019"] > 10 * errors["lmkit"]
    assert errors["dve2019"] != pytest.approx(errors["jakab2018"], rel=0.01)


def hide(dataset, indices, points):
    for index in indices:
        own = dataset.points[index].copy()
        own[points] = np.nan
        dataset.points[index] = own


def test_points_are_fitted_and_tested_where_they_are_known():
    dataset = Shapes(MIXED)
    run = Knowing(dataset, noise=0.1)
    whole = measure(run, dataset)
    hide(dataset, TEST[:10], [2])
    hide(dataset, FIT[:40], [1])
    report = measure(run, dataset)
    assert (report.fit_images, report.test_images, report.complete_images) == (80, 40, 30)
    assert np.isnan(report.errors[:10, 2]).all()
    assert np.isfinite(report.errors).sum() == 40 * 3 - 10
    assert np.allclose(report.errors[:, 0], whole.errors[:, 0])
    own = measure(run, dataset, fit=FIT[40:], test=TEST[10:])
    assert report.forward_per_point[1] != whole.forward_per_point[1]
    assert np.allclose(report.errors[10:, 1], own.errors[:, 1])
    assert report.forward == pytest.approx(np.nanmean(report.errors, axis=1).mean())
    assert any("Some points are not known in some images" in note for note in report.remarks)
    assert report.backward is not None


def test_images_without_the_normalising_pair_are_left_out_and_counted():
    dataset = Shapes(MIXED)
    hide(dataset, TEST[:4], [0])
    dataset.points[TEST[4]][1] = dataset.points[TEST[4]][0]
    report = measure(Knowing(dataset), dataset)
    assert (report.test_images, report.without_pair) == (35, 5)
    assert report.keys[0] == f"shape-{TEST[5]}"
    by_nose = measure(Knowing(dataset), dataset, Protocol(pair=(1, 2), labelled=(), stability=0))
    assert by_nose.without_pair == 0
    assert by_nose.normalised_by == ("right eye", "nose")


def test_where_no_image_has_the_pair_it_says_how_to_choose_another():
    dataset = Shapes(MIXED)
    hide(dataset, TEST, [0])
    with pytest.raises(LmkitError, match="left eye and right eye, in different places") as caught:
        measure(Knowing(dataset), dataset)
    assert "--normalise-by" in caught.value.remedy


def test_where_no_image_is_complete_there_is_no_backward_error_and_it_says_so():
    dataset = Shapes(MIXED)
    hide(dataset, FIT, [2])
    report = measure(Knowing(dataset), dataset, FULL)
    assert report.backward is None
    assert report.to_dict()["backward"] == {"nme": None, "per_landmark": None}
    assert report.to_dict()["forward"]["per_point"]["nose"] is None
    assert report.labelled == []
    assert "Known in no image to fit on, and not measured: nose." in report.remarks
    assert any("no backward error" in remark for remark in report.remarks)
    assert np.isfinite(report.forward)


def test_parts_without_a_point_in_common_are_refused():
    dataset = Shapes(MIXED)
    hide(dataset, FIT, [0, 1])
    hide(dataset, TEST, [2])
    with pytest.raises(LmkitError, match="No point of shapes is known both"):
        measure(Knowing(dataset), dataset)


def test_68_points_and_their_pair():
    dataset = Shapes([(32, 32)] * 250, points=68)
    dataset.normalising_pair = (36, 45)
    rng = np.random.default_rng(5)
    run = Knowing(dataset, matrix=rng.normal(size=(136, 8)) * 0.1)
    report = measure(run, dataset, fit=list(range(180)), test=list(range(180, 250)))
    assert report.unit == "percent of the distance between points 36 and 45"
    assert report.errors.shape == (70, 68)
    assert report.backward < 1
    assert len(report.forward_per_point) == 68


def test_the_report_keeps_every_image():
    dataset = Shapes(MIXED)
    report = measure(Knowing(dataset, noise=0.1), dataset)
    assert report.indices == TEST
    assert report.keys == [f"shape-{index}" for index in TEST]
    assert np.allclose(report.truth, np.stack([dataset.points[index] for index in TEST]))
    distance = np.linalg.norm(report.truth[:, 0] - report.truth[:, 1], axis=1)
    errors = np.linalg.norm(report.predictions - report.truth, axis=2) / distance[:, None]
    assert np.allclose(report.errors, 100 * errors)
    assert report.detections.shape == (40, 4, 2)
    assert report.forward == pytest.approx(report.errors.mean())


def test_everything_is_reproducible_and_another_seed_draws_others():
    dataset = Shapes(MIXED)
    run = Knowing(dataset, noise=0.2)
    first, same, other = (
        measure(run, dataset, Protocol(labelled=(5, 20), stability=10, seed=seed)).to_dict()
        for seed in (1, 1, 2)
    )
    assert first == same
    assert first["labelled"] != other["labelled"]
    assert first["forward"]["nme"] == other["forward"]["nme"]
    assert first["forward"]["interval"] != other["forward"]["interval"]
    assert first["stability"] != other["stability"]
    assert first["stability"]["images"] == 10
