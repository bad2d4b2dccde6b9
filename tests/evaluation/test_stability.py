import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmkit.data.framing import Framer
from lmkit.data.unreadable import Unreadable
from lmkit.evaluation.detections import detect_all
from lmkit.evaluation.stability import LIMIT, deviations, measure_stability, rotations
from lmkit.geometry.coordinates import from_pixels, pixel_grid
from lmkit.geometry.warps import AffineWarp
from lmkit.interfaces.dataset import Annotation, Dataset
from lmkit.interfaces.landmarks import Landmarks
from lmkit.prediction.stream import Predictor

SIZE = 64


class Blobs(Dataset):
    """A bright blob on black, somewhere in each image."""

    point_names = ("a", "b")

    def __init__(self, count):
        self.centres = np.random.default_rng(0).uniform(-0.4, 0.4, (count, 2))

    def __len__(self):
        return len(self.centres)

    def key(self, index):
        return f"blob-{index}"

    def image(self, index):
        if self.centres[index, 0] > 9:
            raise OSError("it is gone")
        grid = pixel_grid(SIZE, SIZE).numpy()
        brightness = np.exp(-((grid - self.centres[index]) ** 2).sum(axis=-1) / 0.01)
        return np.repeat((255 * brightness[:, :, None]).astype(np.uint8), 3, axis=2)

    def annotation(self, index):
        return Annotation(points=np.array([[10, 10], [50, 10]], np.float32))


def run_with(detect):
    def detector(images):
        return Landmarks(points=detect((images * 255).round().to(torch.uint8)))

    cpu = torch.device("cpu")
    predictor = Predictor(detector, Framer(SIZE, "crop"), cpu, workers=0)
    return SimpleNamespace(predictor=predictor)


def centroid(images):
    """Equivariant to the pixel: the blob's centre of mass."""
    weights = images[:, 0].float()
    grid = pixel_grid(SIZE, SIZE)
    total = weights.sum(dim=(1, 2))
    return ((weights[..., None] * grid).sum(dim=(1, 2)) / total[:, None])[:, None]


def constant(x, y):
    return lambda images: torch.tensor([x, y]).float().expand(len(images), 1, 2)


def stability_of(detect, count=12, images=12, seed=0, dataset=None):
    run, dataset = run_with(detect), dataset or Blobs(count)
    unreadable = Unreadable(1.0)
    options = {"batch_size": 5, "unreadable": unreadable}
    found = detect_all(run, dataset, range(count), **options)
    return measure_stability(run, dataset, found, images=images, seed=seed, **options)


def test_a_detector_that_follows_the_image_is_stable():
    stability = stability_of(centroid)
    assert stability.mean < 0.15, "pixels of 128: what resampling leaves"
    assert stability.images == 12


def test_a_detector_that_always_answers_the_centre_of_rotation_is_too():
    assert stability_of(constant(0, 0)).mean == pytest.approx(0, abs=1e-5)


def test_a_detector_that_always_answers_elsewhere_is_off_by_a_known_distance():
    """At (r, 0), turned by a and shrunk by s = 1 / (|cos a| + |sin a|): |s e^ia - 1| r."""
    keys = [f"blob-{number}" for number in range(12)]
    matrix = rotations(keys, seed=0).matrix.double()
    scale_cos, scale_sin = matrix[:, 0, 0], matrix[:, 1, 0]
    expected = ((scale_cos - 1) ** 2 + scale_sin**2).sqrt() * 0.5 * 64
    stability = stability_of(constant(0.5, 0))
    assert stability.mean == pytest.approx(expected.mean().item(), rel=1e-5)
    assert stability.per_landmark == pytest.approx([expected.mean().item()], rel=1e-5)


def test_an_exactly_equivariant_detector_has_no_deviation_in_closed_form():
    warp = rotations([f"{number}" for number in range(50)], seed=4)
    found = torch.rand(50, 7, 2) * 2 - 1
    assert np.abs(deviations(found, warp.map_points(found), warp)).max() < 1e-4


def test_deviations_are_measured_in_the_turned_image():
    warp = AffineWarp(torch.tensor([[[0.0, -0.5, 0.0], [0.5, 0.0, 0.0]]]))  # 90 degrees, halved
    found = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    after = torch.tensor([[[0.0, 0.5], [0.0, 0.0]]])
    assert deviations(found, after, warp).tolist() == [[0.0, 32.0]]


def test_landmarks_that_leave_the_image_do_not_count():
    warp = AffineWarp(torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]]))
    found = torch.tensor([[[0.8, 0.0], [0.0, 0.0]]])
    gone, stays = deviations(found, found, warp)[0]
    assert math.isnan(gone)
    assert stays == 32


def test_rotations_are_random_bounded_and_keep_the_whole_image():
    keys = [f"{number}" for number in range(2000)]
    warp = rotations(keys, seed=1)
    angles = torch.atan2(warp.matrix[:, 1, 0], warp.matrix[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= LIMIT + 1e-3
    assert angles.std().item() == pytest.approx(15, rel=0.1)
    assert abs(angles.mean().item()) < 1.5
    corners = torch.tensor([[-1.0, -1], [1, -1], [-1, 1], [1, 1]]).expand(2000, 4, 2)
    moved = warp.map_points(corners).abs().amax(dim=(1, 2))
    assert torch.allclose(moved, torch.ones(2000), atol=1e-5)


def test_an_angle_is_the_images_own():
    alone = rotations(["b"], seed=1).matrix
    assert torch.equal(rotations(["a", "b", "c"], seed=1).matrix[1:2], alone)
    assert not torch.equal(rotations(["b"], seed=2).matrix, alone)


def test_some_of_the_images_are_taken_evenly():
    seen = []

    def detect(images):
        seen.extend(images[:, 0].flatten(1).argmax(dim=1).tolist())
        return centroid(images)

    stability = stability_of(detect, count=12, images=4)
    assert stability.images == 4
    assert len(seen) == 12 + 4
    assert stability_of(centroid, images=99).images == 12
    assert stability_of(centroid, seed=1) != stability_of(centroid, seed=2)


def test_images_that_have_gone_since_leave_nothing_to_measure():
    dataset, unreadable = Blobs(3), Unreadable(1.0)
    run = run_with(centroid)
    options = {"batch_size": 5, "unreadable": unreadable}
    found = detect_all(run, dataset, range(3), **options)
    dataset.centres += 10
    assert measure_stability(run, dataset, found, images=3, seed=0, **options) is None
    assert len(unreadable) == 3


def test_pixels_of_128_whatever_the_side():
    point = from_pixels(torch.tensor([[10.0, 20.0]]), SIZE, SIZE)
    other = from_pixels(torch.tensor([[11.0, 20.0]]), SIZE, SIZE)
    still = AffineWarp(torch.eye(2, 3)[None])
    assert deviations(point[None], other[None], still) == pytest.approx(128 / SIZE)
