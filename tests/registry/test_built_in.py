"""Which plugins are lmkit's own: declared in its pyproject.toml, in a checkout and installed."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry import discovery
from lmkit.registry.discovery import discover
from lmkit.registry.lookup import Registry

ROOT = Path(__file__).parents[2]
WORKING = """
from lmkit.api import Component, hookimpl

@hookimpl
def lmkit_components():
    return [Component("detector", __name__, "nowhere:Nothing", "finds nothing")]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder at the front of the path, as site-packages, in which lmkit seems to lie."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(discovery, "ROOT", folder)
    return folder


@pytest.fixture
def write_down(site):
    """Write down the plugins of an installed lmkit, as pip would: ``write_down("a_plugin")``."""

    def write_down(*modules: str, name: str = "lmkit", version: str = "0.0.1") -> Path:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lmkit\nVersion: {version}\n")
        lines = [f"{module} = {module}" for module in modules]
        (info / "entry_points.txt").write_text("\n".join(["[lmkit]", *lines, ""]))
        return info

    return write_down


@pytest.fixture
def not_installed(monkeypatch):
    """Have pip know of no lmkit."""

    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(discovery, "distribution", unknown)


def found():
    """Return (name, built in, broken) of all that is found, but for what the core names itself."""
    core = {module.removesuffix(".plugin") for module in discovery.OF_CORE}
    return [
        (plugin.name, plugin.built_in, bool(plugin.problem))
        for plugin in discover({})
        if plugin.name not in core
    ]


def test_they_are_those_of_pyproject_and_the_cores_own(registry: Registry):
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = sorted(table["project"]["entry-points"]["lmkit"].values())
    modules = [plugin.module for plugin in registry.plugins if plugin.built_in]
    assert modules == [*discovery.OF_CORE, *declared]
    assert not [plugin.problem for plugin in registry.plugins if plugin.built_in and plugin.problem]


def test_outside_of_a_checkout_they_are_what_pip_wrote_down(install, write_down):
    install("own-two", WORKING, entries=["zzz = nowhere"])
    install("own-one", WORKING, entries=["zzz = nowhere"])
    write_down("own_two", "own_one")
    assert [each for each in found() if each[1]] == [
        ("own_one", True, False),
        ("own_two", True, False),
    ]
    assert [name for name, *_ in found()].count("own_one") == 1


def test_a_checkout_is_believed_before_an_lmkit_that_is_installed(install, write_down, ship):
    install("own-one", WORKING, entries=["zzz = nowhere"])
    install("a-friend", WORKING)
    write_down("own_one", "long_gone")
    ship("own_one")
    assert found()[0] == ("own_one", True, False)
    names = [name for name, *_ in found()]
    assert names.count("own_one") == names.count("a_friend") == 1
    assert "long_gone" not in names


def test_a_checkout_need_not_be_installed(install, ship, not_installed):
    install("own-one", WORKING, entries=["zzz = nowhere"])
    ship("own_one")
    assert found()[0] == ("own_one", True, False)


@pytest.mark.parametrize(
    "content",
    [
        b'[project]\nname = "something-else"\n[project.entry-points.lmkit]\nalien = "alien"\n',
        b"[tool.black]\n",
        b'[project]\nname = "lmkit"\n<<<<<<< HEAD\n',
        b'[project]\nname = "lmkit"\n# \xff\n',
    ],
    ids=["another package's", "no package's", "half merged", "not text"],
)
def test_a_pyproject_that_cannot_be_lmkits_is_passed_over(install, site, write_down, content):
    (site / "pyproject.toml").write_bytes(content)
    install("own-one", WORKING, entries=["zzz = nowhere"])
    write_down("own_one")
    assert [each for each in found() if each[1]] == [("own_one", True, False)]
    assert "alien" not in [name for name, *_ in found()]


def test_where_nothing_declares_them_that_is_said_and_the_rest_works(install, site, not_installed):
    install("a-friend", WORKING)
    plugins = {plugin.name: plugin for plugin in discover({})}
    assert plugins["lmkit"].built_in
    assert str(site) in plugins["lmkit"].problem
    assert plugins["lmkit"].remedy == "Install lmkit with pip, or take a whole checkout of it."
    assert plugins["lmkit.data"].components
    assert plugins["a_friend"].components
    quiet = {plugin.name: plugin for plugin in discover({"LMKIT_DISABLE_PLUGINS": "lmkit"})}
    assert quiet["lmkit"].disabled


@pytest.mark.parametrize("left", ["Metadata-Version: 2.1\n", None])
def test_a_half_deleted_lmkit_has_its_plugins_once(install, write_down, left):
    install("own-one", WORKING, entries=["zzz = nowhere"])
    metadata = write_down("own_one") / "METADATA"
    metadata.unlink()
    if left:
        metadata.write_text(left)
    assert [each for each in found() if each[0] == "own_one"] == [("own_one", True, False)]


def test_what_pip_left_of_an_older_lmkit_is_no_plugin(install, write_down):
    install("own-one", WORKING, entries=["zzz = nowhere"])
    write_down("own_one", version="2")
    write_down("own_one", "long_gone", name="~mkit", version="1")  # As pip renames what it removes.
    assert [each for each in found() if each[0] == "own_one"] == [("own_one", True, False)]
    assert "long_gone" not in [name for name, *_ in found()]


def test_somebody_elses_entry_point_in_the_same_words_is_remarked_upon(install, write_down):
    install("own-one", WORKING, entries=["zzz = nowhere"])
    install("a-copy", WORKING, entries=["own_one = own_one"])
    write_down("own_one")
    own, copy = (plugin for plugin in discover({}) if plugin.name == "own_one")
    assert (own.package, own.problem) == ("lmkit", "")
    assert copy.package == "a-copy"
    assert copy.problem == "It is the same module as plugin 'own_one' of package lmkit."


def test_strictness_minds_that_nothing_declares_them(site, not_installed):
    with pytest.raises(LmkitError) as caught:
        discover({"LMKIT_STRICT_PLUGINS": "1"})
    assert caught.value.code is ExitCode.PLUGIN
