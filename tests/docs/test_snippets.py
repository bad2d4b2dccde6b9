"""The Python on the pages for plugin authors runs, and its components keep their promises."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple
from unittest import SkipTest

import numpy as np
import pytest
from PIL import Image

from lmkit.api import Command, Component, Listing, Recipe, hookimpl
from lmkit.interfaces.kinds import INTERFACES
from lmkit.registry.component import KINDS
from lmkit.registry.lookup import Registry, installed
from lmkit.testing import checks_for
from lmkit.testing.check import promises_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "example"
PAGES = [ROOT / "docs" / "plugins.md", *sorted((ROOT / "docs" / "kinds").glob("*.md"))]
RECORDS = {
    "lmkit_components": Component,
    "lmkit_recipes": Recipe,
    "lmkit_listings": Listing,
    "lmkit_commands": Command,
}
"""What each hook returns a list of."""


class Snippet(NamedTuple):
    """A block of Python on a page, and the line that it begins after."""

    page: Path
    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.page.stem}:{self.line}"

    def run(self) -> ModuleType:
        """Execute it as a module, which stays importable: components are found by its name."""
        module = ModuleType(f"snippet_{self.page.stem}_{self.line}")
        sys.modules[module.__name__] = module
        # Empty lines before it, so that a traceback names the page's own line.
        source = "\n" * self.line + self.source
        exec(compile(source, str(self.page), "exec"), module.__dict__)
        return module


def snippets_of(page: Path) -> Iterator[Snippet]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```python[^\n]*\n(.*?)^```$", text, re.S | re.M):
        yield Snippet(page, text.count("\n", 0, found.start()) + 1, found[1])


SNIPPETS = [snippet for page in PAGES for snippet in snippets_of(page)]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the pages take for granted: the example installed, and a module for sending mail."""
    info = tmp_path / "lmkit_example-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lmkit-example\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[lmkit]\nlmkit_example = lmkit_example\n")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setitem(sys.modules, "my_plugin", ModuleType("my_plugin"))
    monkeypatch.setitem(sys.modules, "my_plugin.mail", SimpleNamespace(send=lambda to, text: None))
    installed.cache_clear()
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("snippet_", "lmkit_example")):
            del sys.modules[name]
    installed.cache_clear()


def components_in(module: ModuleType) -> Iterator[tuple[str, type]]:
    """Yield the components that a snippet defines, each with its kind."""
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield from (
                (kind, value) for kind, base in INTERFACES.items() if issubclass(value, base)
            )


def hold_to_promises(kind: str, cls: type, settings: dict[str, object]) -> None:
    """Make every check of the kit on a class that no package announces."""
    component = Component(
        kind, cls.__name__.lower(), f"{cls.__module__}:{cls.__name__}", "a snippet"
    )

    class Hooks:
        @hookimpl
        def lmkit_components(self) -> list[Component]:
            return [component]

    given = {f"{kind} {component.name}": {"image_size": 32, "landmarks": 3, **settings}}
    states = {
        str(check): check.outcome() for check in checks_for(Hooks(), settings=given, kinds=[kind])
    }
    broken = [outcome.problem for outcome in states.values() if outcome.state == "failed"]
    assert not broken, "\n".join(broken)
    skipped = {name for name, outcome in states.items() if outcome.state == "skipped"}
    assert skipped <= {f"{kind} {component.name}: cuda"}


def call(test: Callable[..., None]) -> None:
    """Run a test of a snippet as pytest would, once for each value of its parameter.

    One that asks for a folder trains; that is left to the package's own tests.
    """
    if "tmp_path" in inspect.signature(test).parameters:
        return
    cases: list[dict[str, object]] = [{}]
    for mark in getattr(test, "pytestmark", []):
        name, values = mark.args
        cases = [{name: value} for value in values]
    for case in cases:
        with suppress(SkipTest):
            test(**case)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_it_runs_and_what_it_brings_is_sound(snippet: Snippet, tmp_path: Path) -> None:
    for subject in ("anna", "ben"):
        (tmp_path / subject).mkdir()
        for number in range(2):
            pixels = np.full((24, 32, 3), 40 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / subject / f"{number}.png")
    options = {"Mail": {"to": "me@example.org"}, "Frames": {"path": str(tmp_path)}}
    options["Ensemble"] = {"first": {"name": "hourglass", "depth": 1, "features": 8}}
    module = snippet.run()
    for kind, cls in components_in(module):
        hold_to_promises(kind, cls, options.get(cls.__name__, {}))
    for name, value in list(vars(module).items()):
        if name in RECORDS:
            assert value()
            assert all(isinstance(record, RECORDS[name]) for record in value())
        if name.startswith("test_"):
            call(value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_with_a_component(kind: str) -> None:
    page = ROOT / "docs" / "kinds" / f"{kind}.md"
    assert page in PAGES
    found = [components_in(snippet.run()) for snippet in SNIPPETS if snippet.page == page]
    assert kind in {each for components in found for each, _ in components}


def section(kind: str, heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the table under a heading of a kind's page."""
    text = (ROOT / "docs" / "kinds" / f"{kind}.md").read_text(encoding="utf-8")
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.+) \|$", part, re.M)
    return [tuple(line.split(" | ")) for line in lines[1:]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_promises_are_those_that_the_kit_checks(kind: str) -> None:
    promises = [(f"`{each.name}`", each.text.rstrip(".")) for each in promises_of(kind)]
    assert section(kind, "What the kit checks") == promises


@pytest.mark.parametrize("kind", KINDS)
def test_what_lmkit_ships_is_told(kind: str, registry: Registry) -> None:
    entries = [each for each in registry.components(kind) if each.plugin.built_in]
    shipped = [
        (f"`{each.component.name}`", f"`{each.plugin.name}`", each.component.summary)
        for each in entries
    ]
    assert section(kind, "What lmkit ships") == sorted(shipped)
