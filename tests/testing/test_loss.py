"""Each check that losses meet first has a loss that fails it."""

from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from lmkit.api import Loss
from lmkit.testing.check import PROMISES


class Good(Loss):
    """Compares pixels."""

    def forward(self, step):
        return functional.l1_loss(step.ends, step.targets)


class Central(Loss):
    """Draws landmarks to the middle."""

    needs_routes: ClassVar[bool] = False

    def forward(self, step):
        return step.landmarks["original"].points.square().mean()


class Waiting(Good):
    """Comes into force after a while, and is a plain 0 before."""

    def forward(self, step):
        if step.number < 500:
            return torch.zeros(())
        return super().forward(step)


class Ramp(Good):
    """Comes into force little by little, with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, step):
        return (super().forward(step) - self.shift).abs() * min(1.0, step.number / 1000)


class PerImage(Good):
    """Returns a number for each image."""

    def forward(self, step):
        return (step.ends - step.targets).abs().mean(dim=(1, 2, 3))


class Number(Good):
    """Returns a number of Python's."""

    def forward(self, step):
        return super().forward(step).item()


class Infinite(Good):
    """Divides by nothing."""

    def forward(self, step):
        return super().forward(step) / 0


class Spread(Good):
    """Has no spread to measure in a single image."""

    def forward(self, step):
        return super().forward(step) + step.landmarks["original"].points.std(dim=0).mean()


class Detached(Good):
    """Measures and teaches nothing."""

    def forward(self, step):
        return functional.l1_loss(step.ends.detach(), step.targets)


class Steep(Good):
    """Has no slope where landmarks coincide with themselves."""

    def forward(self, step):
        points = step.landmarks["original"].points
        return super().forward(step) + (points - points).abs().sqrt().sum()


class SaysTooMuch(Central):
    """Asks for routes and does not read them."""

    needs_routes: ClassVar[bool] = True


class SaysTooLittle(Good):
    """Reads routes and does not ask for them."""

    needs_routes: ClassVar[bool] = False


class SaysItFollows(Good):
    """Asks for the warps and does not read them."""

    needs_warps: ClassVar[bool] = True


class Follows(Central):
    """Compares the views' landmarks in the loaded image, and does not ask for the warps."""

    def forward(self, step):
        first, second = (
            warp.sample_points(step.landmarks[view].points) for view, warp in step.warps.items()
        )
        return (first - second).square().mean()


class Equivariant(Follows):
    """The same, and says so."""

    needs_warps: ClassVar[bool] = True


class SaysItKnows(Good):
    """Asks for annotated points and does not read them."""

    needs_truth: ClassVar[bool] = True


class Peeks(Good):
    """Reads annotated points and does not ask for them."""

    def forward(self, step):
        return super().forward(step) + step.truth["original"].nan_to_num().mean()


class Supervised(Central):
    """Draws landmarks to the annotated points."""

    needs_truth: ClassVar[bool] = True

    def forward(self, step):
        apart = step.landmarks["original"].points - step.truth["original"]
        return apart.where(apart.isfinite(), 0.0).square().mean()


class KnowsAll(Supervised):
    """Takes every point for known."""

    def forward(self, step):
        return (step.landmarks["original"].points - step.truth["original"]).square().mean()


class Half(Good):
    """Sums up in whatever precision there is."""

    def forward(self, step):
        return functional.linear(step.ends.flatten()[None], step.targets.flatten()[None]).sum()


class Rounded(Good):
    """Subtracts what half precision cannot tell apart."""

    def forward(self, step):
        first, second = step.ends.flatten()[None], step.targets.flatten()[None]
        ones = torch.ones_like(first)
        return (functional.linear(first, ones) - functional.linear(second, ones)).float().sum()


BAD = [
    ("scalar", PerImage, "got (8,)"),
    ("scalar", Number, "float"),
    ("scalar", Infinite, "a finite number"),
    ("scalar", Spread, "nan"),
    ("gradients arrive", Detached, "got none"),
    ("gradients arrive", Steep, "landmarks.original.points"),
    ("needs routes", SaysTooMuch, "needs_routes = False"),
    ("needs routes", SaysTooLittle, "needs_routes = True"),
    ("needs warps", SaysItFollows, "needs_warps = False"),
    ("needs warps", Follows, "ValueError"),
    ("needs truth", SaysItKnows, "needs_truth = False"),
    ("needs truth", Peeks, "KeyError"),
    ("needs truth", KnowsAll, "a finite number"),
    ("bf16", Half, "torch.bfloat16"),
    ("bf16", Rounded, "to a tenth"),
]


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("loss", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "loss"} - {"works"}
    assert {name for name, _, _ in BAD} == first_met


@pytest.mark.parametrize("cls", [Good, Central, Waiting, Ramp, Equivariant, Supervised])
def test_a_good_one_keeps_all(assert_keeps_all, cls):
    assert_keeps_all("loss", cls)
