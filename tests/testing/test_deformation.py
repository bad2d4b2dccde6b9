"""Each check that deformations meet first has a deformation that fails it."""

import pytest
import torch

from lmkit.api import AffineWarp, Deformation, GeometricDeformation, Views
from lmkit.testing import deformation
from lmkit.testing.check import PROMISES


class Good(GeometricDeformation):
    """Shifts and turns a little.

    Args:
        shift: In half sides of the image.
    """

    def __init__(self, *, shift: float = 0.1) -> None:
        self.shift = shift

    def warps(self, batch, generator):
        return self.draw(batch, generator), self.draw(batch, generator)

    def draw(self, batch, generator):
        drawn = torch.rand(batch, 3, generator=generator, device=generator.device) - 0.5
        return AffineWarp.from_similarity(
            drawn[:, 0], 1 + 0 * drawn[:, 0], drawn[:, 1:] * self.shift
        )


class Brightened(Good):
    """Adds light."""

    def __call__(self, images, generator):
        return super().__call__(images, generator)._replace(deformed=images + 0.3)


class Half(Good):
    """Makes views of another type."""

    def __call__(self, images, generator):
        return super().__call__(images.half(), generator)


class Pair(Good):
    """Returns no Views."""

    def __call__(self, images, generator):
        return tuple(super().__call__(images, generator))


class Squeezing(Good):
    """Takes a batch of one for none."""

    def __call__(self, images, generator):
        made = super().__call__(images, generator)
        return made._replace(original=made.original.squeeze(0))


class NoWarp(Good):
    """Says with a matrix what a warp should say."""

    def __call__(self, images, generator):
        made = super().__call__(images, generator)
        return made._replace(deformed_warp=made.deformed_warp.matrix)


class WarpForOne(Good):
    """Makes one warp for all."""

    def __call__(self, images, generator):
        made = super().__call__(images, generator)
        return made._replace(deformed_warp=AffineWarp(made.deformed_warp.matrix[:1]))


class OneWay(AffineWarp):
    """Does not find its way back."""

    def sample_points(self, points):
        return points


class Constant(AffineWarp):
    """Moves points that nothing learns from."""

    def map_points(self, points):
        return super().map_points(points.detach())


class NotInvertible(Good):
    """Makes warps that go one way."""

    def draw(self, batch, generator):
        return OneWay(super().draw(batch, generator).matrix)


class NotDifferentiable(Good):
    """Makes warps that no gradient passes."""

    def draw(self, batch, generator):
        return Constant(super().draw(batch, generator).matrix)


class Backwards(Deformation):
    """Moves points the other way than pixels."""

    def __call__(self, images, generator):
        made = Good(shift=0.3)(images, generator)
        inverse = [
            AffineWarp(torch.cat((warp._inverse, -warp._inverse @ warp.matrix[:, :, 2:]), dim=2))
            for warp in (made.original_warp, made.deformed_warp)
        ]
        return Views(made.original, made.deformed, *inverse)


class Swapped(Good):
    """Takes one view's warp for the other's."""

    def __call__(self, images, generator):
        original, deformed, first, second = super().__call__(images, generator)
        return Views(original, deformed, second, first)


class Away(Good):
    """Shows what is beside the image."""

    def draw(self, batch, generator):
        return AffineWarp(torch.tensor([[1.0, 0, 3], [0, 1.0, 0]]).expand(batch, 2, 3))


class Alternating(Good):
    """Makes every other pair upright."""

    calls = 0

    def draw(self, batch, generator):
        self.calls += 1
        warp = super().draw(batch, generator)
        return AffineWarp(warp.matrix * (1 + 0.1 * self.calls))


class Scribbling(Good):
    """Writes to the images."""

    def __call__(self, images, generator):
        return super().__call__(images.mul_(0.9), generator)


class Elsewhere(AffineWarp):
    """Is not where the images are."""

    device = torch.device("meta")


class OnAnotherDevice(Good):
    """Makes warps on a device of its own."""

    def __call__(self, images, generator):
        made = super().__call__(images, generator)
        return made._replace(original_warp=Elsewhere(made.original_warp.matrix))


BAD = [
    ("views", Brightened, "colours in [0, 1]"),
    ("views", Half, "torch.float16"),
    ("views", Pair, "got a tuple"),
    ("batch of one", Squeezing, "(1, 3, 64, 64)"),
    ("warps", NoWarp, "got a Tensor"),
    ("warps", WarpForOne, "a warp for 4 images, got 1"),
    ("warps", NotInvertible, "to undo map_points"),
    ("warps", NotDifferentiable, "pass gradients on"),
    ("moved pixels", Backwards, "within 1.0 pixel"),
    ("moved pixels", Swapped, "within 1.0 pixel"),
    ("moved pixels", Away, "0 of 64 dots in view"),
    ("repeatable", Alternating, "the same original view twice"),
    ("inputs", Scribbling, "its input to stay"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("deformation", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "deformation"} - {"works"}
    assert {name for name, _, _ in BAD} | {"cuda"} == first_met


class Contrast(Good):
    """Changes contrast about the mean, gamma and brightness of one view, and moves no pixel."""

    def warps(self, batch, generator):
        still = AffineWarp(torch.eye(2, 3).expand(batch, 2, 3))
        return still, still

    def __call__(self, images, generator):
        made = super().__call__(images, generator)
        mean = made.deformed.mean(dim=(1, 2, 3), keepdim=True)
        changed = ((made.deformed - mean) * 0.6 + mean).clamp(1e-3, 1) ** 1.3 * 0.9
        return made._replace(deformed=changed)


def test_a_good_one_keeps_all(assert_keeps_all):
    assert_keeps_all("deformation", Contrast)
    assert_keeps_all("deformation", Good)
    assert_keeps_all("deformation", Good, image_size=128, shift=0.3)


def test_a_warp_on_another_device_is_caught(assert_caught, monkeypatch):
    monkeypatch.setattr(deformation, "cuda_device", lambda: torch.device("cpu"))
    assert "one on meta" in assert_caught("deformation", "cuda", OnAnotherDevice).problem


class OnTheHost(Good):
    """Draws on the CPU, wherever the images are."""

    def draw(self, batch, generator):
        return super().draw(batch, torch.Generator())


@pytest.mark.gpu
def test_drawing_on_the_wrong_device_is_caught(assert_caught, checks):
    assert_caught("deformation", "cuda", OnTheHost)
    checks("deformation", Good)["cuda"]()
