import sys

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import Component, Recipe
from lmkit.registry.discovery import Plugin, discover
from lmkit.registry.lookup import Registry


def plugin(name, *records, package=None, **changes):
    return Plugin(
        name=name,
        package=package or f"lmkit-{name}",
        version="1",
        built_in=False,
        components=tuple(each for each in records if isinstance(each, Component)),
        recipes=tuple(each for each in records if isinstance(each, Recipe)),
        **changes,
    )


def detector(name, target="nowhere:Nothing"):
    return Component("detector", name, target, "finds landmarks")


def names(entries):
    return [entry.component.name for entry in entries]


@pytest.fixture
def clash():
    """Two packages that both bring detector ``net`` and recipe ``fast``."""
    return Registry(
        [
            plugin("blue", detector("net"), detector("sky"), Recipe("fast", "blue", "s")),
            plugin("red", detector("net"), detector("rose"), Recipe("fast", "red", "s")),
        ]
    )


def test_components_are_listed_by_kind_then_name_and_picked_by_wildcard():
    registry = Registry(
        [
            plugin("b", Component("loss", "mse", "a:B", "s"), detector("resnet50")),
            plugin("a", detector("vgg"), detector("resnet18")),
        ]
    )
    assert names(registry.components()) == ["resnet18", "resnet50", "vgg", "mse"]
    assert names(registry.components("loss")) == ["mse"]
    assert names(registry.components("detector", "*net*")) == ["resnet18", "resnet50"]
    assert names(registry.components("detector", "ResNet*")) == []


def test_a_component_is_found_with_the_plugin_that_brings_it(clash):
    found = clash.find("detector", "sky")
    assert (found.component.name, found.plugin.package) == ("sky", "lmkit-blue")


def test_a_name_is_found_as_often_as_it_is_asked_for(clash):
    for name in ("sky", "rose", "blue/net", "lmkit-red/net"):
        assert clash.find("detector", name) == clash.find("detector", name)
    for _ in range(2):
        with pytest.raises(LmkitError, match="There is more than one detector 'net'"):
            clash.find("detector", "net")
        with pytest.raises(LmkitError, match="There is no loss 'sky'"):
            clash.find("loss", "sky")


def test_a_qualified_name_of_the_wrong_plugin_is_refused_with_every_name(clash):
    with pytest.raises(LmkitError, match="There is no detector 'red/sky'") as caught:
        clash.find("detector", "red/sky")
    assert "sky" in caught.value.remedy
    with pytest.raises(LmkitError, match="There is no detector 'green/nothing'") as caught:
        clash.find("detector", "green/nothing")
    assert "The detectors are: net, rose, sky" in caught.value.remedy


def test_a_clash_leaves_listing_and_other_names_alone(clash):
    assert names(clash.components()) == ["net", "net", "rose", "sky"]
    assert clash.find("detector", "rose").plugin.name == "red"


def test_an_ambiguous_name_is_refused_and_names_both_packages(clash):
    with pytest.raises(LmkitError) as caught:
        clash.find("detector", "net")
    assert caught.value.problem == (
        "There is more than one detector 'net': one of plugin blue (package lmkit-blue) and one of "
        "plugin red (package lmkit-red)."
    )
    assert caught.value.remedy == "Say which: blue/net or red/net."
    assert caught.value.code is ExitCode.PLUGIN


def test_what_lmkit_ships_keeps_its_name_and_who_takes_it_too_is_named(clash):
    registry = Registry(
        [*clash.plugins, plugin("own", detector("net"), Recipe("fast", "own", "s"))]
    )
    registry.plugins[-1].built_in = True
    assert registry.find("detector", "net").plugin.name == "own"
    assert registry.find("detector", "red/net").plugin.name == "red"
    assert registry.recipe("fast").package == "own"
    assert registry.recipe("red/fast").package == "red"
    notes = list(registry.taken())
    assert len(notes) == 4
    assert notes[0] == (
        "the detector 'net' of plugin blue (package lmkit-blue) has the name of one of lmkit's "
        "own, which is taken for it. Write blue/net for the plugin's, or set "
        "LMKIT_DISABLE_PLUGINS=blue."
    )
    assert list(clash.taken()) == []


@pytest.mark.parametrize("owner", ["red", "lmkit-red"])
def test_a_name_is_qualified_by_plugin_or_package(clash, owner):
    assert clash.find("detector", f"{owner}/net").plugin.name == "red"


def test_plugins_of_one_name_are_told_apart_by_their_packages():
    registry = Registry(
        [plugin("same", detector("net"), package=package) for package in ("one", "two")]
    )
    with pytest.raises(LmkitError) as caught:
        registry.find("detector", "same/net")
    assert caught.value.remedy == "Say which: one/net or two/net."
    assert registry.find("detector", "two/net").plugin.package == "two"


def test_plugins_of_one_package_are_told_apart_by_their_names():
    registry = Registry([plugin(name, detector("net"), package="one") for name in ("a", "b")])
    with pytest.raises(LmkitError, match="Say which: a/net or b/net"):
        registry.find("detector", "net")


def test_an_unknown_name_gets_the_closest_or_the_list(clash):
    with pytest.raises(LmkitError) as caught:
        clash.find("detector", "Rosa")
    assert str(caught.value) == "There is no detector 'Rosa'. Did you mean 'rose'?"
    assert caught.value.code is ExitCode.USAGE
    with pytest.raises(LmkitError, match="The detectors are: net, rose, sky"):
        clash.find("detector", "hourglass")
    with pytest.raises(LmkitError, match=r"There is no loss 'mse'\. The losses are: none"):
        clash.find("loss", "mse")
    with pytest.raises(LmkitError, match="There is no detector 'green/rose'"):
        clash.find("detector", "green/rose")


def test_an_unknown_name_may_be_that_of_an_absent_plugin():
    registry = Registry(
        [
            plugin("cracked", problem="RuntimeError: no."),
            plugin("quiet", disabled=True),
            plugin("fine", detector("net")),
        ]
    )
    for ask in (lambda: registry.find("detector", "xyz"), lambda: registry.recipe("xyz")):
        with pytest.raises(LmkitError) as caught:
            ask()
        assert caught.value.remedy.endswith(
            " Plugins that are broken: cracked (see lmkit plugins)."
            " Plugins that are disabled: quiet (LMKIT_DISABLE_PLUGINS)."
        )
    assert [each.name for each in registry.problems()] == ["cracked"]


def test_a_class_is_imported_when_it_is_asked_for():
    registry = Registry([plugin("a", detector("fractions", "fractions:Fraction"))])
    from fractions import Fraction

    assert registry.find("detector", "fractions").load() is Fraction


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no\\n luck.')", "RuntimeError: no luck."),
        ("raise SystemExit", "SystemExit."),
        ("import a_dependency_of_it", "No module named 'a_dependency_of_it'."),
        ("", "has no attribute 'Net'."),
        ("def Net(): ...", "TypeError: Net is not a class."),
    ],
)
def test_a_class_that_cannot_be_imported_is_its_packages_fault(
    tmp_path, monkeypatch, source, reason
):
    (tmp_path / "net_of_a_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "net_of_a_test", raising=False)
    entry = Registry([plugin("a", detector("net", "net_of_a_test:Net"))]).find("detector", "net")
    with pytest.raises(LmkitError) as caught:
        entry.load()
    assert caught.value.code is ExitCode.PLUGIN
    assert caught.value.problem.startswith(
        "The detector 'net' of package lmkit-a cannot be loaded from net_of_a_test:Net: "
    )
    assert reason.rstrip(".") in caught.value.problem
    place = tmp_path / "net_of_a_test.py"
    raised_there = caught.value.problem.endswith(f" ({place}, line 1).")
    assert raised_there == source.startswith(("raise", "import"))
    assert caught.value.remedy == (
        "Update or reinstall lmkit-a, or take another detector: lmkit list detector."
    )


def test_recipes_are_sorted_and_found_by_name(clash):
    registry = Registry([*clash.plugins, plugin("a", Recipe("slow", "a", "s"))])
    assert [recipe.name for recipe, _ in registry.recipes()] == ["fast", "fast", "slow"]
    assert registry.recipe("slow").package == "a"
    with pytest.raises(LmkitError, match=r"There is no recipe 'slwo'\. Did you mean 'slow'\?"):
        registry.recipe("slwo")
    with pytest.raises(LmkitError) as caught:
        registry.recipe("fast")
    assert "package lmkit-blue" in caught.value.problem
    assert "package lmkit-red" in caught.value.problem
    assert caught.value.code is ExitCode.PLUGIN


def test_two_installed_packages_may_bring_one_name(tmp_path, monkeypatch, ship):
    ship()
    for package in ("one", "two"):
        module = f"{package}_of_a_clash"
        (tmp_path / f"{module}.py").write_text(
            "from lmkit.api import Component, hookimpl\n\n@hookimpl\ndef lmkit_components():\n"
            "    return [Component('detector', 'net', __name__ + ':Net', 'finds landmarks')]\n\n"
            "class Net: ...\n"
        )
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[lmkit]\n{package} = {module}\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(discover({}))
    with pytest.raises(LmkitError, match=r"plugin one \(package one\) and one of plugin two"):
        registry.find("detector", "net")
    assert registry.find("detector", "two/net").load().__module__ == "two_of_a_clash"
    only_one = Registry(discover({"LMKIT_DISABLE_PLUGINS": "two"}))
    assert only_one.find("detector", "net").load().__module__ == "one_of_a_clash"
