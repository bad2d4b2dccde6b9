"""Every promise in the documentation names a test, and that test exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
    for line in PAGE.splitlines()
    if line.startswith("| ") and "held by" not in line
]
HOLDS = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`( \(campaign\))?")


@cache
def decorators(file: str) -> dict[str, list[str]]:
    """Return the decorators of a file's tests, as they are written, by name."""
    path = ROOT / file
    body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    return {
        each.name: [ast.unparse(decorator) for decorator in each.decorator_list]
        for each in body
        if isinstance(each, ast.FunctionDef)
    }


def test_there_are_promises():
    assert len(ROWS) > 30
    assert len({promise for promise, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("promise", "test"), ROWS)
def test_a_promise_is_held_by_a_test_that_exists(promise, test):
    match = HOLDS.fullmatch(test)
    assert match, f"{promise} names no test: {test}"
    file, name, campaign = match.groups()
    assert name in decorators(file), f"{promise} {file} has no {name}"
    marks = decorators(file)[name]
    assert ("pytest.mark.campaign" in marks) == bool(campaign), promise
    assert not any(each.startswith(("pytest.mark.skip(", "pytest.mark.xfail")) for each in marks)
