"""Each check that datasets meet first has a dataset that fails it."""

import itertools

import numpy as np
import pytest

from lmkit.api import Annotation, Dataset
from lmkit.testing.check import PROMISES


class Good(Dataset):
    """Stripes.

    Args:
        count: How many.
    """

    argument = "count"
    point_names = ("left", "right")

    def __init__(self, *, count: int = 20) -> None:
        self.count = count

    def __len__(self):
        return self.count

    def key(self, index):
        return f"stripes-{index}"

    def image(self, index):
        return np.full((8, 12, 3), index, np.uint8)

    def annotation(self, index):
        return Annotation(np.array([[0, 0], [11, 7]], np.float32), subject=str(index // 2))

    def indices(self, part):
        half = self.count // 2
        return range(half, self.count) if part == "test" else range(half)


class Unannotated(Good):
    """Nothing but stripes."""

    point_names = ()

    def annotation(self, index):
        return Annotation()

    def indices(self, part):
        return None


class Namesakes(Good):
    """Calls two by one name."""

    def key(self, index):
        return f"stripes-{index // 2}"


class Numbered(Good):
    """Calls them by numbers."""

    def key(self, index):
        return index


OPENED = itertools.count()


class Renamed(Good):
    """Has new names each time."""

    def __init__(self, *, count: int = 20) -> None:
        super().__init__(count=count)
        self.opened = next(OPENED)

    def key(self, index):
        return f"{self.opened}-{index}"


class Empty(Good):
    """Has nothing."""

    def __len__(self):
        return 0


class Floating(Good):
    """Shows fractions."""

    def image(self, index):
        return super().image(index) / 255


class Grey(Good):
    """Has no colours."""

    def image(self, index):
        return super().image(index)[..., 0]


class Complaining(Good):
    """Finds fault with all."""

    def problem(self, index):
        return "not good enough"


class Outside(Good):
    """Marks what is not there."""

    def annotation(self, index):
        return Annotation(np.array([[0, 0], [40, 7]], np.float32))


class Swapped(Good):
    """Writes y before x."""

    def annotation(self, index):
        return Annotation(np.array([[0, 0], [7, 11]], np.float32))


class Lacking(Good):
    """Leaves one out."""

    def annotation(self, index):
        return Annotation(np.array([[0, 0]], np.float32))


class HalfKnown(Good):
    """Knows where a point is from left to right."""

    def annotation(self, index):
        return Annotation(np.array([[0, 0], [np.nan, 7]], np.float32))


class Nothing(Good):
    """Says at length that it knows nothing."""

    def annotation(self, index):
        return Annotation(np.full((2, 2), np.nan, np.float32))


class Gaps(Good):
    """Does not know every point."""

    def annotation(self, index):
        return Annotation(np.array([[np.nan, np.nan], [11, 7]], np.float32))


class BadPair(Good):
    """Measures from a point to itself."""

    normalising_pair = (1, 1)


class Disagreeing(Good):
    """Says twice who is on an image, and otherwise each time."""

    def subject(self, index):
        return str(index)


class Leaking(Good):
    """Trains on what tests."""

    def indices(self, part):
        return range(self.count)


class Beyond(Good):
    """Names what is not there."""

    def indices(self, part):
        return range(20, 40) if part == "test" else range(20)


class Unpicklable(Good):
    """Holds a function without a name."""

    def __init__(self, *, count: int = 20) -> None:
        super().__init__(count=count)
        self.shade = lambda index: index


class Streaming(Good):
    """Reads on and on."""

    last = 0

    def image(self, index):
        self.last += 1
        return np.full((8, 12, 3), self.last, np.uint8)


class Mistyped(Good):
    """Names an option that it does not have."""

    argument = "path"


BAD = [
    ("keys", Namesakes, "10 of them shared"),
    ("keys", Numbered, "a text for every key"),
    ("keys", Renamed, "when opened again"),
    ("keys", Empty, "at least one image"),
    ("images", Floating, "float64"),
    ("images", Grey, "(8, 12)"),
    ("images", Complaining, "not good enough"),
    ("annotation", Outside, "[[40.0, 7.0]]"),
    ("annotation", Swapped, "within the 12 x 8 pixels"),
    ("annotation", Lacking, "(1, 2)"),
    ("annotation", HalfKnown, "in x and y or in neither"),
    ("annotation", Nothing, "no points where none is known"),
    ("annotation", BadPair, "normalising_pair"),
    ("annotation", Disagreeing, "subject() to say '0' as well"),
    ("parts", Leaking, "for training and for testing"),
    ("parts", Beyond, "test from 0 to 19"),
    ("pickle", Unpicklable, "local object"),
    ("any order", Streaming, "whenever it is read"),
    ("argument", Mistyped, "one of count, got 'path'"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("dataset", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "dataset"} - {"works"}
    assert {name for name, _, _ in BAD} == first_met


@pytest.mark.parametrize("cls", [Good, Unannotated, Gaps])
def test_a_good_one_keeps_all(assert_keeps_all, cls):
    assert_keeps_all("dataset", cls)
