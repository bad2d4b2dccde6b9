"""Each check that writers meet first has a writer that fails it."""

import json

import pytest

from lmkit.api import Writer
from lmkit.testing.check import PROMISES


class Good(Writer):
    """Counts what it hears.

    Args:
        title: Of the count.
    """

    argument = "title"

    def __init__(self, *, title: str = "run") -> None:
        self.title = title
        self.heard = 0

    def metrics(self, step, values):
        self.heard += 1


class Strict(Good):
    """Wants numbers that JSON has."""

    def metrics(self, step, values):
        json.dumps(values, allow_nan=False)


class Impatient(Good):
    """Ends before there was anything."""

    def ended(self, step, state):
        return 1 / self.heard


class FromTheStart(Good):
    """Cannot come in later."""

    def started(self, folder, settings, *, step, steps):
        if step:
            raise ValueError(f"nothing is known of the first {step} steps")


class Tidy(Good):
    """Clears away what it has seen."""

    def sheet(self, step, name, path):
        path.unlink()


class Appending(Good):
    """Adds to the run's own numbers."""

    def started(self, folder, settings, *, step, steps):
        self.folder = folder

    def ended(self, step, state):
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write("{}")


BAD = [
    ("whole run", Strict, "ValueError: Out of range float"),
    ("whole run", Impatient, "ZeroDivisionError"),
    ("whole run", FromTheStart, "nothing is known of the first 2 steps"),
    ("files", Tidy, "sheets/landmarks.png to stay"),
    ("files", Appending, "metrics.jsonl to stay"),
]


@pytest.mark.parametrize(
    ("name", "cls", "says"), BAD, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_bad_one_is_caught(assert_caught, name, cls, says):
    assert says in assert_caught("writer", name, cls).problem


def test_no_check_is_without_a_bad_one():
    first_met = {each.name for each in PROMISES if each.kinds[0] == "writer"} - {"works"}
    assert {name for name, _, _ in BAD} == first_met


@pytest.mark.parametrize("cls", [Good, Writer])
def test_a_good_one_keeps_all(assert_keeps_all, cls):
    assert_keeps_all("writer", cls)
