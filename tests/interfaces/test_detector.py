import pytest
import torch
from torch import nn

from lmkit.geometry.coordinates import to_pixels
from lmkit.geometry.soft_argmax import mean_position, soft_argmax
from lmkit.interfaces.detector import Detector, HeatmapDetector


class Brightest(HeatmapDetector):
    """Landmark k is where the k-th colour is brightest."""

    def __init__(self, *, landmarks=3, beta=10.0, gain=30.0):
        super().__init__(landmarks=landmarks, beta=beta)
        self.gain = nn.Parameter(torch.tensor(gain))

    def score_maps(self, images):
        return self.gain * images[:, : self.landmarks]


def test_an_interface_cannot_be_used_by_itself():
    for abstract in (Detector, HeatmapDetector):
        with pytest.raises(TypeError, match="abstract"):
            abstract(landmarks=3)


def test_a_detector_needs_its_number_of_landmarks_by_name():
    with pytest.raises(TypeError):
        Brightest(3)
    assert Brightest(landmarks=2).landmarks == 2


def test_points_are_read_from_the_score_maps():
    images = torch.zeros(2, 3, 8, 12)
    spots = torch.tensor([[[2, 3], [11, 0], [5, 7]], [[0, 0], [6, 6], [1, 2]]])
    for image in range(2):
        for colour in range(3):
            x, y = spots[image, colour]
            images[image, colour, y, x] = 1.0
    found = Brightest()(images)
    assert found.points.shape == (2, 3, 2)
    torch.testing.assert_close(to_pixels(found.points, 8, 12), spots.float(), atol=1e-4, rtol=0)
    assert torch.equal(found.score_maps, 30 * images)
    assert found.confidence is None
    assert found.descriptors is None


def test_beta_is_that_of_the_soft_argmax():
    images = torch.rand(1, 3, 6, 6)
    found = Brightest(beta=0.1)(images)
    assert torch.equal(found.points, soft_argmax(30 * images, 0.1))


def test_points_are_the_means_of_the_probability_maps():
    found = Brightest(beta=0.1)(torch.rand(2, 3, 6, 8))
    maps = found.probability_maps
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 3))
    assert torch.equal(mean_position(maps), found.points)


def test_points_are_float32_under_autocast():
    class Projected(Brightest):
        def score_maps(self, images):
            return nn.functional.conv2d(images, torch.eye(3)[:, :, None, None])

    images = torch.rand(2, 3, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Projected()(images)
    assert found.score_maps.dtype is torch.bfloat16
    assert found.points.dtype is torch.float32
    assert torch.equal(found.points, soft_argmax(found.score_maps.float()))


def test_gradients_reach_the_network():
    detector = Brightest(gain=1.0)
    detector(torch.rand(2, 3, 6, 6)).points.square().sum().backward()
    assert detector.gain.grad.abs() > 0


def test_there_is_nothing_to_read_by_default():
    detector = Brightest()
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    detector.initialise()
    assert all(torch.equal(tensor, before[name]) for name, tensor in detector.state_dict().items())
