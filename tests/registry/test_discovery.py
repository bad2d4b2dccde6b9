import sys
from dataclasses import replace
from types import ModuleType

import pytest

from lmkit import __version__
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import Component
from lmkit.registry.discovery import discover, examine

WORKING = """
from lmkit.api import Component, Listing, Recipe, hookimpl

@hookimpl
def lmkit_components():
    return [Component("detector", "probe", "nowhere:Nothing", "finds nothing")]

@hookimpl
def lmkit_recipes():
    return [Recipe("probing", __name__, "tries things")]

@hookimpl
def lmkit_listings():
    return [Listing("probes", "nowhere:list_probes", "what can be tried")]
"""
ANSWERS = (
    "from lmkit.api import Component, hookimpl\n\n@hookimpl\ndef lmkit_components():\n    {}\n"
)


@pytest.fixture(autouse=True)
def third_parties_alone(ship):
    ship()


def by_name(**environment):
    return {plugin.name: plugin for plugin in discover(environment)}


def test_an_installed_plugin_is_found_with_its_records_and_whereabouts(install):
    install("probe-plugin", WORKING)
    plugin = by_name()["probe_plugin"]
    assert (plugin.package, plugin.version, plugin.built_in) == ("probe-plugin", "1.2", False)
    assert plugin.file.endswith("probe_plugin.py")
    assert plugin.import_seconds > 0
    assert [component.name for component in plugin.components] == ["probe"]
    assert [recipe.name for recipe in plugin.recipes] == ["probing"]
    assert [listing.name for listing in plugin.listings] == ["probes"]
    assert (plugin.problem, plugin.remedy, plugin.disabled) == ("", "", False)


def test_built_in_plugins_come_first_and_belong_to_lmkit(install, ship):
    install("probe-plugin", WORKING)
    install("z-own", WORKING, entries=["zzz = nowhere"])
    ship("z_own")
    first, *_ = discover({})
    assert (first.name, first.package, first.built_in) == ("z_own", "lmkit", True)
    assert (first.version, first.problem) == (__version__, "")


BROKEN = {
    "raises on import": ("raise RuntimeError('no\\n  luck.')", "RuntimeError: no luck."),
    "has a syntax error": ("def (", "SyntaxError: invalid syntax (broken_one.py, line 1)."),
    "lacks a dependency": (
        "import a_dependency_of_it",
        "ModuleNotFoundError: No module named 'a_dependency_of_it'.",
    ),
    "exits on import": ("raise SystemExit(3)", "SystemExit: 3."),
    "exits in its hook": (ANSWERS.format("raise SystemExit"), "SystemExit."),
    "raises in its hook": (ANSWERS.format("raise OSError('disk')"), "OSError: disk."),
    "raises in a later record": (
        ANSWERS.format("yield Component('loss', 'one', 'a:B', 's'); 1 / 0"),
        "ZeroDivisionError: division by zero.",
    ),
    "registers a bad record": (
        ANSWERS.format("return [Component('losss', 'one', 'a:B', 's')]"),
        "ValueError: component kind 'losss' is not one of detector, generator, deformation, "
        "pairing, loss, dataset, writer.",
    ),
    "returns nothing": (
        ANSWERS.format("pass"),
        "TypeError: lmkit_components returned None instead of a list of Component.",
    ),
    "returns no list": (
        ANSWERS.format("return 3"),
        "TypeError: lmkit_components returned 3 instead of a list of Component.",
    ),
    "returns other things": (
        ANSWERS.format("return ['hourglass']"),
        "TypeError: lmkit_components returned 'hourglass', which is not a Component.",
    ),
    "names one thing twice": (
        ANSWERS.format("return [Component('loss', 'one', 'a:B', 's')] * 2"),
        "ValueError: lmkit_components returned the loss 'one' twice.",
    ),
    "has a listing of a kind's name": (
        "from lmkit.api import Listing, hookimpl\n\n@hookimpl\ndef lmkit_listings():\n"
        "    return [Listing('recipe', 'a:b', 's')]",
        "ValueError: listing name 'recipe' is taken: lmkit lists that itself.",
    ),
    "has no hook": ("def lmkit_components():\n    return []", "It implements no hook."),
    "has a hook that is not ours": (
        WORKING.replace("lmkit_components", "lmkit_componets"),
        "It implements the hook 'lmkit_componets', which does not exist.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_reported_and_leaves_no_trace(install, case):
    source, problem = BROKEN[case]
    install("a-working-one", WORKING)
    install("broken-one", source)
    install("working-two", WORKING)
    plugins = by_name()
    assert plugins["broken_one"].problem == problem
    assert plugins["broken_one"].components == plugins["broken_one"].recipes == ()
    for name in ("a_working_one", "working_two"):
        assert not plugins[name].problem
        assert [component.name for component in plugins[name].components] == ["probe"]
        assert [recipe.name for recipe in plugins[name].recipes] == ["probing"]


def test_a_broken_plugin_can_be_updated_removed_or_silenced(install):
    install("broken-one", "1 / 0")
    assert by_name()["broken_one"].remedy == (
        "Update or uninstall broken-one, or set LMKIT_DISABLE_PLUGINS=broken_one to go on without "
        "it quietly."
    )


def test_a_misspelled_hook_gets_the_right_spelling(install):
    install("broken-one", WORKING.replace("lmkit_components", "lmkit_componets"))
    assert by_name()["broken_one"].remedy == "Did you mean 'lmkit_components'?"


def test_a_forgotten_marker_is_named(install):
    install("broken-one", WORKING.replace("@hookimpl", ""))
    assert by_name()["broken_one"].remedy == (
        "Its author has to mark one with @hookimpl: lmkit_components or lmkit_recipes or "
        "lmkit_listings or lmkit_commands."
    )


def test_a_hook_with_other_arguments_is_refused(install):
    install("broken-one", WORKING.replace("lmkit_recipes()", "lmkit_recipes(settings)"))
    plugin = by_name()["broken_one"]
    assert plugin.components == plugin.recipes == plugin.listings == ()
    assert "lmkit_recipes(settings)" in plugin.problem


def test_a_plugin_may_say_itself_what_is_wrong(install):
    install(
        "broken-one",
        "from lmkit.api import LmkitError\nraise LmkitError('No camera.', remedy='Plug it in.')",
    )
    plugin = by_name()["broken_one"]
    assert (plugin.problem, plugin.remedy) == ("No camera.", "Plug it in.")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("gone = no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("gone = some_plugin:nothing", "has no attribute 'nothing'"),
        ("gone = not a module!", "AttributeError"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_reported(install, entry, problem):
    install("some-plugin", WORKING, entries=[entry, "some = some_plugin"])
    plugins = by_name()
    assert problem in plugins["gone"].problem
    assert len(plugins["some"].components) == 1


@pytest.mark.parametrize("left", ["Metadata-Version: 2.1\n", None])
def test_a_half_deleted_package_is_no_obstacle(install, left):
    metadata = install("some-plugin", WORKING) / "METADATA"
    metadata.unlink()
    if left:
        metadata.write_text(left)
    plugin = by_name()["some_plugin"]
    assert (plugin.package, plugin.version) == ("some_plugin", "unknown")
    assert len(plugin.components) == 1


@pytest.mark.parametrize("switch", ["probe_plugin", "other, probe_plugin ,", "*"])
def test_a_disabled_plugin_is_not_imported(install, switch):
    install("probe-plugin", "raise RuntimeError('imported')")
    plugin = by_name(LMKIT_DISABLE_PLUGINS=switch)["probe_plugin"]
    assert plugin.disabled
    assert not plugin.problem
    assert "probe_plugin" not in sys.modules


def test_a_star_spares_the_built_in_plugins_and_a_name_does_not(install, ship):
    install("core-one", WORKING, entries=["zzz = nowhere"])
    ship("core_one")
    assert not by_name(LMKIT_DISABLE_PLUGINS="*")["core_one"].disabled
    assert by_name(LMKIT_DISABLE_PLUGINS="core_one")["core_one"].disabled


def test_strictness_turns_a_broken_plugin_into_an_error(install):
    place = install("broken-one", "1 / 0").parent / "broken_one.py"
    with pytest.raises(LmkitError) as caught:
        discover({"LMKIT_STRICT_PLUGINS": "1"})
    assert caught.value.code is ExitCode.PLUGIN
    assert caught.value.problem == (
        "Plugin 'broken_one' of package broken-one is broken. ZeroDivisionError: division by zero "
        f"({place}, line 1)."
    )
    assert caught.value.remedy.endswith("Or unset LMKIT_STRICT_PLUGINS to go on without it.")


@pytest.mark.parametrize(
    "environment",
    [
        {"LMKIT_STRICT_PLUGINS": ""},
        {"LMKIT_STRICT_PLUGINS": "0"},
        {"LMKIT_STRICT_PLUGINS": "1", "LMKIT_DISABLE_PLUGINS": "broken_one"},
    ],
)
def test_strictness_can_be_off_and_does_not_reach_disabled_plugins(install, environment):
    install("broken-one", "1 / 0")
    assert "broken_one" in by_name(**environment)


def test_the_environment_is_the_processs_own_by_default(install, monkeypatch):
    install("broken-one", "1 / 0")
    monkeypatch.setenv("LMKIT_DISABLE_PLUGINS", "broken_one")
    assert all(plugin.disabled for plugin in discover() if plugin.name == "broken_one")


def test_two_entry_points_to_one_module_make_one_plugin_and_one_remark(install):
    install("some-plugin", WORKING, entries=["one = some_plugin", "two = some_plugin"])
    plugins = by_name()
    assert len(plugins["one"].components) == 1
    assert plugins["two"].components == ()
    assert plugins["two"].problem == "It is the same module as plugin 'one' of package some-plugin."


def test_the_same_entry_point_twice_is_one_plugin(install):
    install("some-plugin", WORKING, entries=["one = some_plugin"] * 2)
    assert [plugin.name for plugin in discover({})].count("one") == 1


def test_a_package_that_is_installed_twice_is_one_plugin(install, tmp_path, monkeypatch):
    info = install("some-plugin", WORKING)
    again = tmp_path / "again" / info.name
    again.mkdir(parents=True)
    for file in info.iterdir():
        (again / file.name).write_text(file.read_text())
    monkeypatch.syspath_prepend(again.parent)
    assert [plugin.name for plugin in discover({})].count("some_plugin") == 1


def test_an_object_can_be_a_plugin(install):
    source = WORKING.replace("def ", "    def ").replace("@hook", "    @hook")
    source = source.replace("():", "(self):").replace("    return", "        return")
    source = source.replace("hookimpl\n\n", "hookimpl\n\nclass Plugin:\n", 1) + "\nit = Plugin()\n"
    install("some-plugin", source, entries=["one = some_plugin:it"])
    assert len(by_name()["one"].components) == 1


def test_discovering_again_gives_the_same(install):
    install("probe-plugin", WORKING)
    first, second = (
        [replace(plugin, import_seconds=0.0) for plugin in discover({})] for _ in range(2)
    )
    assert first == second
    assert any(isinstance(each, Component) for plugin in first for each in plugin.components)


def test_a_plugin_that_is_not_installed_is_questioned_alike(install):
    install("stray", WORKING)
    import stray

    plugin = examine(stray)
    assert (plugin.name, plugin.module, plugin.package) == ("stray", "stray", "stray")
    assert [component.name for component in plugin.components] == ["probe"]
    assert examine(ModuleType("hollow")).problem == "It implements no hook."
