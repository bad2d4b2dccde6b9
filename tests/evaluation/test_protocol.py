from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.protocol import evaluate
from lmkit.interfaces.dataset import Annotation, Dataset
from lmkit.interfaces.landmarks import Landmarks

SIZE = 16


class Shapes(Dataset):
    """Pictures of one colour and of any size; the colour is the picture's number."""

    point_names = ("left eye", "right eye", "nose")

    def __init__(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        self.sizes = sizes
        self.points = []
        for width, height in sizes:
            # Whole pixels are kept by the colour's picture; points may lie anywhere in it.
            own = rng.uniform(0.3, 0.7, (3, 2)) * (width, height)
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
        from lmkit.data.pictures import Framer, Framing

        self.settings = SimpleNamespace(
            run=SimpleNamespace(image_size=SIZE),
            loading=SimpleNamespace(fit=fit, workers=0, max_unreadable=0.2),
        )
        self.framer = Framer(SIZE, fit)
        self.device = torch.device("cpu")
        self.step = 7
        self.largest_batch = 0
        rng = np.random.default_rng(1)
        matrix = rng.normal(size=(6, 8)) if matrix is None else matrix
        self.answers = []
        for (width, height), points in zip(dataset.sizes, dataset.points, strict=True):
            truth = np.zeros((3, 2)) if points is None else points
            square = Framing.of(width, height, SIZE, fit).to_normalised(truth).reshape(-1)
            answer = square @ matrix + rng.normal(size=8) * noise
            self.answers.append((answer + 0.1).reshape(4, 2))

    def detect(self, images):
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, SIZE, SIZE)
        self.largest_batch = max(self.largest_batch, len(images))
        own = [self.answers[int(image[0, 0, 0])] for image in images]
        return Landmarks(points=torch.tensor(np.stack(own)).float())


MIXED = [(40, 30), (30, 50), (64, 64), (16, 16), (90, 20)] * 24
FIT, TEST = list(range(80)), list(range(80, 120))


def measure(run, dataset, fit=FIT, test=TEST, **options):
    return evaluate(run, dataset, fit, test, data="shapes", **options)


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
    report = measure(Knowing(dataset, fit), dataset, list(range(4)), [test])
    assert report.mean_shape == pytest.approx(100 * expected, rel=1e-9)


def test_the_pair_that_normalises_is_the_datas():
    dataset = Shapes(MIXED)
    eyes = measure(Knowing(dataset, noise=0.1), dataset)
    dataset.normalising_pair = (0, 2)
    other = measure(Knowing(dataset, noise=0.1), dataset)
    assert eyes.unit == "percent of the distance between left eye and right eye"
    assert other.unit == "percent of the distance between left eye and nose"
    assert eyes.forward != other.forward


def test_pictures_without_points_are_left_out():
    dataset = Shapes(MIXED)
    run = Knowing(dataset)
    for index in (0, 1, 80):
        dataset.points[index] = None
    dataset.points[2] = np.full((3, 2), np.nan, np.float32)
    report = measure(run, dataset)
    assert (report.fit_images, report.test_images) == (77, 39)
    assert report.forward < 0.2


def test_unreadable_pictures_are_left_out_and_counted_up_to_the_limit():
    dataset = Shapes(MIXED)
    dataset.broken = {3, 90}
    report = measure(Knowing(dataset), dataset)
    assert (report.fit_images, report.test_images, report.unreadable) == (79, 39, 2)
    assert report.forward < 0.2
    dataset.broken = set(range(30))
    assert measure(Knowing(dataset), dataset, max_unreadable=0.5).unreadable == 30
    with pytest.raises(LmkitError, match="30 of 120 pictures") as caught:
        measure(Knowing(dataset), dataset)
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(("part", "word"), [(FIT, "fit"), (TEST, "test")])
def test_data_without_annotation_is_refused(part, word):
    dataset = Shapes(MIXED)
    run = Knowing(dataset)
    for index in part:
        dataset.points[index] = None
    with pytest.raises(LmkitError, match=f"shapes has no annotated picture to {word} with") as e:
        measure(run, dataset)
    assert e.value.code == ExitCode.DATA
    assert "--data" in e.value.remedy


def test_data_without_a_held_out_part_is_refused():
    dataset = Shapes(MIXED)
    with pytest.raises(LmkitError, match="no picture to test with: none is held out"):
        measure(Knowing(dataset), dataset, FIT, [])


def test_pictures_that_cannot_be_read_at_all_are_refused():
    dataset = Shapes(MIXED)
    dataset.broken = set(FIT)
    with pytest.raises(LmkitError, match="None of 80 annotated pictures can be read"):
        measure(Knowing(dataset), dataset)


def test_the_batch_size_changes_nothing_and_progress_is_told():
    dataset = Shapes(MIXED)
    heard = []
    run = Knowing(dataset)
    small = measure(run, dataset, batch_size=32, progress=lambda *both: heard.append(both))
    assert run.largest_batch == 32
    assert heard == [(32, 120), (64, 120), (80, 120), (112, 120), (120, 120)]
    large = measure(Knowing(dataset), dataset, batch_size=500)
    assert small.to_dict() == large.to_dict()


def test_the_json_form():
    dataset = Shapes(MIXED)
    report = measure(Knowing(dataset, noise=0.2), dataset).to_dict()
    per_point = report["forward"]["per_point"]
    assert list(per_point) == ["left eye", "right eye", "nose"]
    assert report["forward"]["nme"] == pytest.approx(np.mean(list(per_point.values())))
    assert report["forward"]["bias"] is True
    assert set(report["backward"]) == set(report["mean_shape"]) == {"nme"}
    assert report["images"] == {"fit": 80, "test": 40}
    assert report["unit"] == "percent of the distance between left eye and right eye"
    rest = {"data": "shapes", "fit": "crop", "step": 7, "unreadable": 0}
    assert report.items() >= rest.items()
