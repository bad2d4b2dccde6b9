"""Each check that detectors meet first has a detector that fails it."""

import itertools
import random

import numpy as np
import pytest
import torch
from torch import nn

from lmkit.api import HeatmapDetector, Landmarks, soft_argmax
from lmkit.testing import network
from lmkit.testing.check import PROMISES


class Good(HeatmapDetector):
    """Three small layers.

    Args:
        landmarks: The number of landmarks K.
        width: Channels in the middle.
    """

    def __init__(self, *, landmarks: int, width: int = 4) -> None:
        super().__init__(landmarks=landmarks)
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=4, padding=2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, landmarks, 1),
        )

    def score_maps(self, images):
        return self.layers(images)


class Stranger(nn.Module):
    """Derived from something else."""


class Unfinished(HeatmapDetector):
    """Without a method that writes score maps."""


class Mute(Good):
    """Explains no option."""

    def __init__(self, *, landmarks: int, secret: int = 3) -> None:
        super().__init__(landmarks=landmarks)


class Undocumented(Good):
    pass


class SeedsItself(Good):
    """Has the same weights with every seed."""

    def __init__(self, *, landmarks: int) -> None:
        torch.manual_seed(0)
        super().__init__(landmarks=landmarks)


class DrawsFromNumpy(Good):
    """Draws random numbers that the run does not know of."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        np.random.rand()


class ChoosesDtype(Good):
    """Changes a setting of the whole process."""

    def __init__(self, *, landmarks: int) -> None:
        torch.set_default_dtype(torch.float64)
        super().__init__(landmarks=landmarks)
        self.float()


class DrawsInTraining(Good):
    """Drops whole batches, by Python's dice."""

    def score_maps(self, images):
        return self.layers(images) * (random.random() < 2)


class DrawsInUse(Good):
    """Draws in eval mode."""

    def score_maps(self, images):
        return self.layers(images + 0 * torch.rand(1))


CALLS = itertools.count()


class Unseeded(Good):
    """Starts from weights that no seed gives."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layers[0].weight.data += 0.01 * next(CALLS)


class UnusedLayer(Good):
    """Trains a layer that nothing goes through."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.idle = nn.Linear(2, 2)


class Constant(Good):
    """Finds the same whatever its weights."""

    def score_maps(self, images):
        return self.layers(images) * 0


class Exploding(Good):
    """Has an infinite slope."""

    def score_maps(self, images):
        scores = self.layers(images)
        return scores + (scores - scores).abs().sqrt()


class Trembling(Good):
    """Finds something else each time."""

    def score_maps(self, images):
        self.calls = getattr(self, "calls", 0) + 1
        return self.layers(images) * self.calls


class Forgetful(Good):
    """Learns something that is not saved."""

    level = 0.0

    def score_maps(self, images):
        if self.training:
            self.level += 1.0
        return self.layers(images) * (1 + self.level)


class Inseparable(Good):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        return self


class Uncopyable(Good):
    """Holds what cannot be copied."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.counts = (number for number in range(3))


class Restless(Good):
    """Writes to its own weights."""

    def score_maps(self, images):
        with torch.no_grad():
            self.layers[0].bias.add_(0.1)
        return self.layers(images)


class Counting(Good):
    """Writes to its buffers in eval mode."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.register_buffer("calls", torch.zeros(()))

    def score_maps(self, images):
        self.calls += 1
        return self.layers(images)


class Scribbling(Good):
    """Writes to the images."""

    def score_maps(self, images):
        return self.layers(images.sub_(0.5))


class Pixels(Good):
    """Counts in pixels."""

    def forward(self, images):
        return Landmarks(super().forward(images).points * 32 + 32)


class Double(Good):
    """Computes more precisely than anybody asked for."""

    def forward(self, images):
        return Landmarks(super().forward(images).points.double())


class OneTooMany(Good):
    """Finds K + 1."""

    def forward(self, images):
        points = super().forward(images).points
        return Landmarks(torch.cat((points, points[:, :1]), dim=1))


class Tuple(Good):
    """Returns no Landmarks."""

    def forward(self, images):
        return (super().forward(images).points,)


class NaN(Good):
    """Finds nothing."""

    def forward(self, images):
        return Landmarks(super().forward(images).points * float("nan"))


class OtherMaps(Good):
    """Returns score maps that its points were not read from."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, found.score_maps.roll(1, dims=1))


class DetachedMaps(Good):
    """Returns score maps that nothing can learn from."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, found.score_maps.detach())


class Sharpened(Good):
    """Reads points with another beta than it says."""

    def forward(self, images):
        scores = self.layers(images)
        return Landmarks(soft_argmax(scores, 100.0), scores)


class Overconfident(Good):
    """Is sure twice over."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, confidence=torch.full(found.points.shape[:2], 2.0))


class OddDescriptors(Good):
    """Describes images, not points."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, descriptors=torch.zeros(len(images), 1, 8))


class OneMap(Good):
    """Describes the whole batch, not each image."""

    def forward(self, images):
        return Landmarks(super().forward(images).points, features=torch.zeros(1, 8, 4, 4))


class NotNormalised(Good):
    """Calls scores probabilities."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, probability_maps=found.probability_maps / 2)


class OtherProbabilities(Good):
    """Reads its points elsewhere."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points, probability_maps=found.probability_maps.flip(2, 3))


class Detached(Good):
    """Learns from nothing."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points.detach(), found.score_maps)


class Squeezing(Good):
    """Takes a batch of one for none."""

    def forward(self, images):
        return Landmarks(super().forward(images).points.squeeze(0))


class BatchStatistics(Good):
    """Looks at its neighbours."""

    def score_maps(self, images):
        return self.layers(images - images.mean(dim=0))


class FixedSize(Good):
    """Knows one size, and says so in torch's words."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.head = nn.Linear(16 * 16, 16 * 16)

    def score_maps(self, images):
        scores = self.layers(images)
        return self.head(scores.flatten(2)).unflatten(2, (16, 16))


class HalfPrecision(Good):
    """Reads points in whatever precision there is."""

    def forward(self, images):
        scores = self.layers(images)
        points = scores.flatten(2)[..., :2].tanh()
        return Landmarks(points, scores)


class Coarse(HalfPrecision):
    """Makes float32 of what was rounded before."""

    def forward(self, images):
        scores = self.layers(images)
        points = (scores.flatten(2)[..., :2].tanh() * 0.1 + 300) - 300
        return Landmarks(points.float(), scores)


class Branches(Good):
    """Decides by what is in its images."""

    def score_maps(self, images):
        scores = self.layers(images)
        return scores if images.mean() > 0.1 else -scores


class Remembers(Good):
    """Takes the size of the first batch for that of all."""

    def score_maps(self, images):
        return self.layers(images) + torch.zeros(len(images), 1, 1, 1)


BAD = [
    ("interface", Stranger, "not derived from it"),
    ("interface", Unfinished, "none of score_maps"),
    ("options", Mute, "nothing on secret"),
    ("options", Undocumented, "a docstring"),
    ("global state", SeedsItself, "a seed of its own"),
    ("global state", DrawsFromNumpy, "numpy.random"),
    ("global state", ChoosesDtype, "torch's default dtype"),
    ("global state", DrawsInTraining, "the random numbers of random"),
    ("global state", DrawsInUse, "use to change nothing global, got the random numbers of torch"),
    ("seed", Unseeded, "layers.0.weight"),
    ("gradients", UnusedLayer, "none for idle.weight, idle.bias"),
    ("gradients", Constant, "0 everywhere"),
    ("gradients", Exploding, "finite gradients"),
    ("repeatable", Trembling, "the same output twice"),
    ("save and load", Forgetful, "the same output when loaded"),
    ("copy", Inseparable, "shared weights"),
    ("copy", Uncopyable, "TypeError"),
    ("weights", Restless, "changes layers.0.bias"),
    ("weights", Counting, "changes in calls"),
    ("inputs", Scribbling, "its input to stay"),
    ("points", Pixels, "points in [-1, 1]"),
    ("points", Double, "torch.float64"),
    ("points", OneTooMany, "(4, 5, 2), got shape (4, 6, 2)"),
    ("points", Tuple, "got a tuple"),
    ("points", NaN, "finite points"),
    ("score maps", OtherMaps, "point 0 to be read from score map 0"),
    ("score maps", DetachedMaps, "got constants"),
    ("score maps", Sharpened, "the soft-argmax of the score maps"),
    ("fields", Overconfident, "confidence in [0, 1]"),
    ("fields", OddDescriptors, "descriptors of shape (4, 5, 8)"),
    ("fields", OneMap, "features of shape (4, 8, 4, 4)"),
    ("fields", NotNormalised, "probability maps that sum to 1"),
    ("fields", OtherProbabilities, "the means of their probability maps"),
    ("points train", Detached, "got constants"),
    ("batch of one", Squeezing, "(1, 5, 2)"),
    ("batch independence", BatchStatistics, "in any company"),
    ("other sizes", FixedSize, "RuntimeError"),
    ("bf16", HalfPrecision, "torch.bfloat16"),
    ("bf16", Coarse, "within 0.05"),
    ("exports", Branches, "a graph of torch.export"),
    ("exports", Remembers, "a graph of torch.export"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("detector", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "detector"} - {"works"}
    assert {name for name, _, _ in BAD} | {"cuda"} == first_met


def test_a_good_one_keeps_all(assert_keeps_all):
    assert_keeps_all("detector", Good)


def test_another_result_on_the_device_is_caught(assert_caught, monkeypatch):
    monkeypatch.setattr(network, "cuda_device", lambda: torch.device("cpu"))
    assert "what the CPU computes" in assert_caught("detector", "cuda", Trembling).problem


class Stays(Good):
    """Keeps a constant where it was made."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.mean = torch.full((3, 1, 1), 0.5)

    def score_maps(self, images):
        return self.layers(images - self.mean)


@pytest.mark.gpu
def test_a_constant_on_the_wrong_device_is_caught(assert_caught, checks):
    assert "RuntimeError" in assert_caught("detector", "cuda", Stays).problem
    checks("detector", Good)["cuda"]()
