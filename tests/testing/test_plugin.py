"""Each check of a plugin itself has a plugin that fails it."""

import importlib

import click
import pytest

from lmkit.testing import checks_for
from lmkit.testing.check import PROMISES

HOOKS = """
from lmkit.api import Command, Component, Listing, Recipe, hookimpl
{above}

@hookimpl
def {components}():
    return [Component("loss", "{name}", "lmkit_interintra.losses:MeanSquaredError", "a probe")]

@hookimpl
def lmkit_recipes():
    return [Recipe("{recipe}", __name__, "a probe")]

@hookimpl
def lmkit_listings():
    return [Listing("{listing}", "{listed}", "a probe")]

@hookimpl
def lmkit_commands():
    return [Command("probe", "{command}", "a probe")]
"""
GOOD = {
    "above": "",
    "components": "lmkit_components",
    "name": "probe",
    "recipe": "probing",
    "listing": "probes",
    "listed": f"{__name__}:list_probes",
    "command": f"{__name__}:probe",
}
RECIPE = 'based_on = "quickstart"\n[loss.probe]\nweight = 0.5\n'


def list_probes(pattern):
    """List, for a plugin that does."""
    return [("probe", "a probe")]


@click.command("probe")
def probe():
    """Do nothing, as a command of a plugin."""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Make a package with hooks and a recipe, and return its checks by name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(module, toml=RECIPE, **changes):
        package = tmp_path / module
        package.mkdir()
        (package / "__init__.py").write_text(HOOKS.format(**GOOD | changes))
        (package / "probing.toml").write_text(toml)
        importlib.invalidate_caches()
        made = checks_for(importlib.import_module(module))
        return {check.promise.name: check for check in made if "plugin" in check.promise.kinds}

    return make


BAD = [
    ("loads", {"components": "lmkit_component"}, "hook 'lmkit_component', which does not exist"),
    ("loads", {"name": "Not A Name"}, "ValueError"),
    ("light", {"above": "import numpy"}, "got numpy"),
    ("names", {"name": "mse"}, "loss 'mse', which plugin lmkit_interintra (package lmkit) brings"),
    ("names", {"recipe": "paper"}, "recipe 'paper', which plugin lmkit_interintra"),
    ("recipes", {"toml": 'based_on = "quickstart"\n[detector]\ndept = 3\n'}, "'dept'"),
    ("recipes", {"toml": 'based_on = "quickstart"\n[data]\nname = "face"\n'}, "dataset 'face'"),
    ("recipes", {"toml": "this is no TOML"}, "probing is not TOML"),
    ("names", {"listing": "backbone"}, "listing 'backbone', which plugin lmkit_timm"),
    ("listings and commands", {"listed": "nowhere:to_be_found"}, "ModuleNotFoundError"),
    ("listings and commands", {"command": "builtins:int"}, "a command of click"),
    ("recipes", {"recipe": "forgotten"}, "recipe 'forgotten' cannot be read"),
]


@pytest.mark.parametrize(("name", "changes", "says"), BAD, ids=[each[2][:20] for each in BAD])
def test_a_bad_one_is_caught(plugin, name, changes, says, request):
    outcome = plugin(f"bad_plugin_{request.node.callspec.indices['name']}", **changes)[
        name
    ].outcome()
    assert outcome.state == "failed", outcome
    assert says in outcome.problem
    assert outcome.problem.startswith("plugin bad_plugin")
    assert outcome.remedy


def test_a_module_that_only_imports_here_is_caught(plugin):
    above = "import sys\nif 'pytest' not in sys.modules: raise RuntimeError('alone')"
    outcome = plugin("bad_plugin_alone", above=above)["light"].outcome()
    assert "to import in a fresh process" in outcome.problem
    assert "RuntimeError: alone" in outcome.problem


def test_no_check_is_without_a_bad_one():
    assert {name for name, _, _ in BAD} == {p.name for p in PROMISES if "plugin" in p.kinds}


def test_a_good_one_keeps_all(plugin):
    for check in plugin("good_plugin").values():
        assert check.outcome().state == "passed", check.outcome()


def test_a_recipe_may_leave_its_images_to_the_user(plugin):
    toml = f'{RECIPE}[data]\nname = "celeba"\n'
    assert plugin("open_plugin", toml)["recipes"].outcome().state == "passed"


def test_an_object_that_is_no_module_cannot_be_imported_alone(checks):
    class Empty:
        """Has no hook either."""

    outcome = {str(check): check.outcome() for check in checks_for(Empty())}
    assert outcome["plugin Empty: loads"].problem == "plugin Empty: It implements no hook."
    assert outcome["plugin Empty: light"].state == "skipped"
