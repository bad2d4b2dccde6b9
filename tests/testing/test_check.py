"""How a check ends, as a call and as an outcome."""

import unittest

import pytest

from lmkit.errors import LmkitError
from lmkit.registry.component import KINDS
from lmkit.testing import Check, Skipped
from lmkit.testing.check import PROMISES, Promise, expect, promises_of


def keeps(subject):
    """It keeps its word."""


def breaks(subject):
    """It keeps its word, too."""
    expect(False, subject, "five points", "none")


def refuses(subject):
    raise LmkitError("That is no size.", remedy="Give a size.")


def falls_over(subject):
    raise ZeroDivisionError("division by zero")


def cannot(subject):
    raise Skipped("there is no moon tonight")


def check(function, excuse=""):
    return Check("detector mine", Promise("words", ("detector",), function, "Keep it."), excuse)


def test_it_is_called_after_its_subject_and_its_promise():
    assert str(check(keeps)) == "detector mine: words"
    assert check(keeps).promise.text == "It keeps its word."


def test_a_kept_promise_passes():
    check(keeps)()
    assert check(keeps).outcome().state == "passed"


@pytest.mark.parametrize(
    ("function", "problem", "remedy"),
    [
        (breaks, "detector mine: expected five points, got none.", "Keep it."),
        (refuses, "detector mine: That is no size.", "Give a size."),
        (
            falls_over,
            "detector mine: expected no exception, got ZeroDivisionError: division by zero "
            f"({__file__}, line {falls_over.__code__.co_firstlineno + 1}).",
            "Keep it.",
        ),
    ],
)
def test_a_broken_one_says_who_what_and_what_to_do(function, problem, remedy):
    outcome = check(function).outcome()
    assert (outcome.state, outcome.problem, outcome.remedy) == ("failed", problem, remedy)
    with pytest.raises(AssertionError) as caught:
        check(function)()
    assert str(caught.value) == f"{problem} {remedy}"
    assert caught.value.__cause__ is not None


def test_what_cannot_be_checked_is_skipped():
    assert check(cannot).outcome().state == "skipped"
    assert check(cannot, "it never could").outcome().state == "skipped"
    with pytest.raises(unittest.SkipTest, match="no moon"):
        check(cannot)()


def test_an_expected_failure_is_told_with_its_reason():
    outcome = check(breaks, "it is young").outcome()
    assert outcome.state == "expected"
    assert "it is young" in outcome.problem
    assert "five points" in outcome.problem
    with pytest.raises(unittest.SkipTest, match="as expected: it is young"):
        check(breaks, "it is young")()


def test_an_expected_failure_that_passes_fails():
    outcome = check(keeps, "it is young").outcome()
    assert outcome.state == "failed"
    assert "was expected to fail (it is young), but passes" in outcome.problem
    with pytest.raises(AssertionError, match="Remove it from expected_failures"):
        check(keeps, "it is young")()


def test_every_promise_is_one_line_with_a_remedy():
    for each in PROMISES:
        assert each.text.endswith("."), each
        assert each.remedy.endswith("."), each
        assert {*each.kinds} <= {*KINDS, "plugin"}
    for kind in (*KINDS, "plugin"):
        names = [each.name for each in promises_of(kind)]
        assert names
        assert len(names) == len(set(names)), kind


def test_every_kind_has_a_file_of_bad_ones(request):
    files = {path.stem for path in request.path.parent.glob("test_*.py")}
    assert {f"test_{each.kinds[0]}" for each in PROMISES} <= files
