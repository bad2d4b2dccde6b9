"""Each check that pairings meet first has a pairing that fails it."""

import pytest
import torch

from lmkit.api import Pairing, Route
from lmkit.testing.check import PROMISES


class Good(Pairing):
    """Through somebody else, and back."""

    def routes(self):
        return (
            Route("original", ("auxiliary",), "deformed"),
            Route("deformed", ("auxiliary",), "original"),
        )


class Direct(Pairing):
    """Through nobody."""

    def routes(self):
        return (Route("original", (), "deformed"),)


class AList(Good):
    """Returns a list."""

    def routes(self):
        return list(super().routes())


class Invented(Good):
    """Goes by a view that nobody makes."""

    def routes(self):
        return (Route("original", ("mirrored",), "deformed"),)


class Twice(Good):
    """Goes one way twice."""

    def routes(self):
        return super().routes()[:1] * 2


class Changing(Good):
    """Goes another way each time."""

    calls = 0

    def routes(self):
        self.calls += 1
        return super().routes()[self.calls % 2 :]


class Oneself(Good):
    """Guides images by themselves."""

    def auxiliary(self, batch, subjects, generator):
        return torch.arange(batch)


class Popular(Good):
    """Has everybody guided by one."""

    def auxiliary(self, batch, subjects, generator):
        return torch.zeros(batch, dtype=torch.int64)


class Neighbour(Good):
    """Does not ask who is on an image."""

    def auxiliary(self, batch, subjects, generator):
        return torch.arange(batch).roll(1)


class Nobody(Good):
    """Has no auxiliary where one is needed."""

    def auxiliary(self, batch, subjects, generator):
        return None


class Unasked(Direct):
    """Has auxiliaries where none is needed."""

    def auxiliary(self, batch, subjects, generator):
        return torch.arange(batch).roll(1)


class Floating(Good):
    """Counts in fractions."""

    def auxiliary(self, batch, subjects, generator):
        return super().auxiliary(batch, subjects, generator).float()


class NeedsThree(Good):
    """Gives up on small batches."""

    def auxiliary(self, batch, subjects, generator):
        if batch < 3:
            raise ValueError("a batch of 2 is too small")
        return super().auxiliary(batch, subjects, generator)


class Rotating(Good):
    """Counts its calls."""

    calls = 0

    def auxiliary(self, batch, subjects, generator):
        self.calls += 1
        return torch.arange(batch).roll(self.calls)


BAD = [
    ("routes", AList, "a tuple of Route"),
    ("routes", Invented, "mirrored"),
    ("routes", Twice, "each route once"),
    ("routes", Changing, "again"),
    ("auxiliary", Oneself, "guiding themselves"),
    ("auxiliary", Popular, "each of 8 images once"),
    ("auxiliary", Neighbour, "0 pairs of one subject"),
    ("auxiliary", Nobody, "since a route uses one"),
    ("auxiliary", Unasked, "since no route uses one"),
    ("auxiliary", Floating, "torch.float32"),
    ("batch of two", NeedsThree, "a batch of 2 is too small"),
    ("repeatable", Rotating, "again"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("pairing", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "pairing"} - {"works"}
    assert {name for name, _, _ in BAD} == first_met


@pytest.mark.parametrize("cls", [Good, Direct])
def test_a_good_one_keeps_all(assert_keeps_all, cls):
    assert_keeps_all("pairing", cls)
