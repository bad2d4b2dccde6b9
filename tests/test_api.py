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


def test_what_is_loaded_late_is_what_type_checkers_see():
    homes = {name: f"lmkit.{home}" for name, home in api._HOMES.items()}
    assert names_for_types(api) == homes
    assert set(homes) <= set(api.__all__)
    assert names_for_types(lmkit) == lmkit._HOMES
    assert set(lmkit._HOMES) == set(lmkit.__all__) - {"__version__"}


def test_what_is_not_loaded_late_is_there_at_once():
    assert set(api.__all__) - set(api._HOMES) == set(vars(api)) & set(api.__all__)


@pytest.mark.parametrize("name", api._HOMES)
def test_a_late_name_is_defined_in_its_home(name):
    home = import_module(f"lmkit.{api._HOMES[name]}")
    assert getattr(api, name) is getattr(home, name)
    # A Literal is typing's, wherever it is given its name; a number has no module.
    own = getattr(getattr(home, name), "__module__", home.__name__)
    assert own in (home.__name__, "typing")


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
    assert "raise API_VERSION in lmkit/registry/version.py" in done.stderr
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
    assert len(api.__all__) == len(set(api.__all__))
    assert list(api._HOMES) == [name for name in api.__all__ if name in api._HOMES]


@pytest.mark.parametrize("module", [lmkit, api])
def test_other_names_are_refused_like_anywhere(module):
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Nope'"):
        _ = module.Nope
    assert not hasattr(module, "__path_of_a_test__")
