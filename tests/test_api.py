import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import lmkit
from lmkit import api


def names_for_types(module):
    """Return name and home of what a module imports under ``if TYPE_CHECKING``."""
    tree = ast.parse(inspect.getsource(module))
    return {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_of_the_door_is_there(name):
    assert getattr(api, name) is not None


@pytest.mark.parametrize("module", [lmkit, api])
def test_type_checkers_see_every_name_where_it_is(module):
    homes = {name: f"lmkit.{home}" for name, home in module._HOMES.items()}
    block = "\n".join(
        f"    from {home} import {name} as {name}"
        for home, name in sorted((home, name) for name, home in homes.items())
    )
    assert names_for_types(module) == homes, f"the block is to be:\nif TYPE_CHECKING:\n{block}"


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module in (lmkit, api) for name in module._HOMES],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_name_is_what_is_defined_in_its_home(module, name):
    home = import_module(f"lmkit.{module._HOMES[name]}")
    value = getattr(module, name)
    assert value is getattr(home, name)
    # A Literal is typing's, hookimpl pluggy's, and a constant nobody's, wherever it is named.
    owner = getattr(value, "__module__", home.__name__)
    assert owner == home.__name__ or owner.split(".")[0] in ("typing", "pluggy")


def test_dir_shows_every_name_before_it_is_used():
    program = (
        "import sys, lmkit, lmkit.api as api; shown = dir(lmkit), dir(api); "
        "assert 'torch' not in sys.modules; "
        "print({*lmkit.__all__} <= {*shown[0]}, {*api.__all__} <= {*shown[1]}, "
        "'train' in shown[0], '__doc__' in shown[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"] * 4


def test_a_star_brings_every_name():
    names: dict[str, object] = {}
    exec("from lmkit.api import *", names)
    assert set(api._HOMES) <= set(names)


def check_surface(*arguments):
    script = Path(__file__).parents[1] / "docs" / "generate_surface.py"
    command = [sys.executable, str(script), "--check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_public_surface_is_the_frozen_one():
    done = check_surface()
    assert done.returncode == 0, done.stderr


def test_a_changed_surface_is_shown_with_what_to_do(tmp_path):
    frozen = (Path(__file__).parent / "api_surface.txt").read_text(encoding="utf-8")
    other = tmp_path / "surface.txt"
    other.write_text(frozen.replace("def soft_argmax(scores", "def soft_argmax(maps"))
    done = check_surface(str(other))
    assert done.returncode == 1
    assert "-def soft_argmax(maps: Tensor, beta: float=DEFAULT_BETA) -> Tensor\n" in done.stderr
    assert "+def soft_argmax(scores: Tensor, beta: float=DEFAULT_BETA) -> Tensor\n" in done.stderr
    assert "raise API_VERSION in lmkit/registry/discovery.py" in done.stderr
    assert "python docs/generate_surface.py" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        'API_VERSION = "',
        "kinds: detector, generator, deformation, pairing, loss, dataset, writer",
        "@hookspec def lmkit_commands() -> Iterable[Command]",
        "class HeatmapDetector(Detector)",
        "    @abstractmethod def __len__() -> int",
        "    in_memory: bool = False",
        "    self.remedy",
        "    @property batch: int",
    ],
)
def test_the_surface_holds_every_kind_of_thing(line):
    frozen = (Path(__file__).parent / "api_surface.txt").read_text(encoding="utf-8")
    assert f"\n{line}" in f"\n{frozen}".replace("'", '"')


def test_names_are_sorted_and_named_once():
    # As ruff sorts them: constants, classes, functions.
    assert list(api._HOMES) == api.__all__ == sorted(set(api.__all__))


@pytest.mark.parametrize("module", [lmkit, api])
def test_other_names_are_refused_like_anywhere(module):
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Nope'"):
        _ = module.Nope
    assert not hasattr(module, "__path_of_a_test__")
