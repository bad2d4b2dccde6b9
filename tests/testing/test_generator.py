"""Each check that generators meet first has a generator that fails it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from lmkit.api import Generator, HeatmapGenerator, Landmarks
from lmkit.testing.check import PROMISES


class Good(HeatmapGenerator):
    """Two convolutions.

    Args:
        landmarks: The number of landmarks K.
    """

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks, sigma=1.0)
        self.first = nn.Conv2d(3 + landmarks, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def colours(self, images, heatmaps):
        wide = functional.interpolate(heatmaps, images.shape[-2:])
        joint = torch.cat((images, wide.to(images.dtype)), dim=1)
        return self.last(self.first(joint).tanh())

    def redraw(self, images, heatmaps):
        return self.colours(images, heatmaps).float().sigmoid()


class Unbounded(Good):
    """Draws colours beyond white."""

    def redraw(self, images, heatmaps):
        return self.colours(images, heatmaps)


class Small(Good):
    """Draws half as large."""

    def redraw(self, images, heatmaps):
        return super().redraw(images, heatmaps)[..., ::2, ::2]


class Bytes(Good):
    """Draws whole numbers."""

    def redraw(self, images, heatmaps):
        return (255 * super().redraw(images, heatmaps)).to(torch.uint8)


class Squeezing(Good):
    """Takes a batch of one for none."""

    def redraw(self, images, heatmaps):
        return super().redraw(images, heatmaps).squeeze(0)


class BatchStatistics(Good):
    """Looks at its neighbours."""

    def redraw(self, images, heatmaps):
        return super().redraw(images - images.mean(dim=0), heatmaps)


class Blind(Good):
    """Does not look at the heatmaps."""

    def redraw(self, images, heatmaps):
        return super().redraw(images, heatmaps * 0)


class BlindToOne(Good):
    """Does not look at the second landmark."""

    def redraw(self, images, heatmaps):
        seen = torch.ones(heatmaps.shape[1])
        seen[1] = 0
        return super().redraw(images, heatmaps * seen[:, None, None])


class DeafRedraw(Good):
    """Learns from points by another way than its heatmaps."""

    def redraw(self, images, heatmaps):
        return super().redraw(images, heatmaps.detach())

    def forward(self, images, source, target):
        return (super().forward(images, source, target) + target.points.mean((1, 2)).sum()) % 1


class SourceDetached(Generator):
    """Sees where the landmarks were, and learns nothing from it.

    Args:
        landmarks: The number of landmarks K.
    """

    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = nn.Linear(2 * landmarks, 3)

    def forward(self, images: torch.Tensor, source: Landmarks, target: Landmarks) -> torch.Tensor:
        moved = (target.points - source.points.detach()).flatten(1)
        return (images + self.layer(moved)[:, :, None, None]).sigmoid()


class ImageDetached(Good):
    """Breaks longer routes."""

    def redraw(self, images, heatmaps):
        return super().redraw(images.detach(), heatmaps)


class SaysItLooks(Good):
    """Asks for the images that landmarks were found in, and does not look at them."""

    needs_images = True


class Peeks(Good):
    """Looks at the image to be drawn, and does not say so."""

    def forward(self, images, source, target):
        return (super().forward(images, source, target) + target.images) / 2


class Looks(Peeks):
    """The same, and says so."""

    needs_images = True


class Rounded(Good):
    """Adds and subtracts what half precision cannot hold."""

    def redraw(self, images, heatmaps):
        return ((20 * self.colours(images, heatmaps) + 1000) - 1000).float().sigmoid()


BAD = [
    ("images", Unbounded, "colours in [0, 1]"),
    ("images", Small, "(4, 3, 64, 64), got shape (4, 3, 32, 32)"),
    ("images", Bytes, "torch.uint8"),
    ("batch of one", Squeezing, "(1, 3, 64, 64)"),
    ("batch independence", BatchStatistics, "in any company"),
    ("target trains", Blind, "none for 0, 1, 2, 3, 4"),
    ("target trains", BlindToOne, "none for 1"),
    ("target trains", DeafRedraw, "gradients for the heatmaps"),
    ("needs images", SaysItLooks, "needs_images = False"),
    ("needs images", Peeks, "TypeError"),
    ("source trains", SourceDetached, "source's landmarks, which it uses"),
    ("image trains", ImageDetached, "the image it starts from"),
    ("bf16", Rounded, "within 0.05"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("generator", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "generator"} - {"works"}
    assert {name for name, _, _ in BAD} == first_met


@pytest.mark.parametrize("cls", [Good, Looks])
def test_a_good_one_keeps_all(assert_keeps_all, cls):
    assert_keeps_all("generator", cls)
