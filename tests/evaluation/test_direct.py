"""The direct error, on images whose answers are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmkit.data.framing import Framer
from lmkit.evaluation.direct import measure_direct
from lmkit.interfaces.dataset import Annotation, Dataset
from lmkit.interfaces.landmarks import Landmarks
from lmkit.prediction.stream import Predictor

SIZE = 16
NAN = [np.nan, np.nan]


class Three(Dataset):
    """Images of 32 pixels, of the colour of their number, with three points each."""

    point_names = ("left eye", "right eye", "nose")

    def __init__(self, points):
        self.points = points

    def __len__(self):
        return len(self.points)

    def key(self, index):
        return f"three-{index}"

    def image(self, index):
        return np.full((32, 32, 3), index, np.uint8)

    def annotation(self, index):
        points = self.points[index]
        return Annotation(None if points is None else np.asarray(points, np.float32))


def measure(points, answers, *, fit, test):
    """Measure a detector that gives these answers, in pixels, for the images in their order."""

    def detect(images):
        own = [answers[int((image[0, 0, 0] * 255).round())] for image in images]
        # A pixel of 32 is 2 / 32 in normalised coordinates.
        return Landmarks(points=(torch.tensor(own).float() + 0.5) / 16 - 1)

    loading = SimpleNamespace(workers=0, max_unreadable=0.0)
    predictor = Predictor(detect, Framer(SIZE, "crop"), torch.device("cpu"), workers=0)
    run = SimpleNamespace(settings=SimpleNamespace(loading=loading), predictor=predictor, step=7)
    split = SimpleNamespace(fit=fit, test=test)
    ready = SimpleNamespace(dataset=Three(points), split=split, settings=run.settings)
    return measure_direct(run, ready)


FACE = [[10.0, 10.0], [20.0, 10.0], [15.0, 20.0]]


def moved(x, y):
    return [[a + x, b + y] for a, b in FACE]


def test_distances_are_measured_without_any_map():
    points = [FACE, moved(2, 0), moved(1, 0), moved(1, 0)]
    # A constant shift, which a fitted map would take away, is an error here: 5 of 10 pixels.
    answers = [FACE, FACE, moved(4, 4), moved(1, 0)]
    report = measure(points, answers, fit=[0, 1], test=[2, 3])
    assert report.direct == pytest.approx(25.0, rel=1e-4)
    assert report.mean_shape == pytest.approx(0.0, abs=1e-4)
    assert report.per_point == pytest.approx(dict.fromkeys(Three.point_names, 25.0), rel=1e-4)
    assert (report.fit_images, report.test_images, report.step) == (2, 2, 7)
    written = json.loads(json.dumps(report.to_dict()))
    assert written["direct"]["nme"] == report.direct
    assert written["unit"] == "percent of the distance between left eye and right eye"


def test_points_that_are_not_known_are_left_out():
    points = [FACE, None, [*moved(0, 2)[:2], NAN], [NAN, *FACE[1:]], None]
    answers = [FACE, FACE, FACE, FACE, FACE]
    report = measure(points, answers, fit=[0, 1], test=[2, 3, 4])
    # Only one test image has both eyes.
    assert report.test_images == report.fit_images == 1
    assert report.direct == report.mean_shape == pytest.approx(20.0, rel=1e-4)
    assert report.per_point["nose"] is None


def test_where_nothing_can_be_measured_there_is_no_report():
    assert measure([FACE, None], [FACE, FACE], fit=[0], test=[1]) is None
    assert measure([None, FACE], [FACE, FACE], fit=[0], test=[1]) is None
    assert measure([FACE, FACE], [FACE, FACE], fit=[0], test=[]) is None
    coinciding = [FACE[0], FACE[0], FACE[2]]
    assert measure([FACE, coinciding], [FACE, FACE], fit=[0], test=[1]) is None
