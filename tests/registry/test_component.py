import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import KINDS, LISTED, Component, Listing, Recipe


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_interface_of_its_name(kind):
    import lmkit.api

    assert isinstance(getattr(lmkit.api, kind.capitalize()), type)


@pytest.mark.parametrize("name", ["hourglass", "inter-intra", "vgg_19", "3d"])
def test_names_of_the_stated_form_are_taken(name):
    assert Component("detector", name, "package.module:Class", "finds landmarks").name == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "detectr"}, "component kind 'detectr' is not one of detector, generator"),
        ({"name": "Hourglass"}, "detector name 'Hourglass' is not lower-case letters"),
        ({"name": "hour glass"}, "is not lower-case letters, digits, - and _"),
        ({"name": "hour/glass"}, "is not lower-case letters"),
        ({"name": "hourglass\n"}, "is not lower-case letters"),
        ({"name": ""}, "is not lower-case letters"),
        ({"target": "package.module.Class"}, "which is not 'package.module:Class'"),
        ({"target": "package..module:Class"}, "which is not 'package.module:Class'"),
        ({"target": ".module:Class"}, "which is not 'package.module:Class'"),
        ({"target": "package:make()"}, "which is not 'package.module:Class'"),
        ({"summary": " "}, "detector 'hourglass' needs a summary of one line"),
        ({"summary": "one\ntwo"}, "needs a summary of one line"),
    ],
)
def test_other_forms_are_refused(change, message):
    fields = {"kind": "detector", "name": "hourglass", "target": "a.b:C", "summary": "s"} | change
    with pytest.raises(ValueError, match=r".") as caught:
        Component(**fields)
    assert message in str(caught.value)


def test_a_component_imports_its_class():
    assert (
        Component("loss", "x", "collections:OrderedDict", "s").load()
        is __import__("collections").OrderedDict
    )


def test_a_listing_imports_its_function_and_has_a_name_and_target_of_the_same_forms():
    assert Listing("x", "fnmatch:filter", "s").load() is __import__("fnmatch").filter
    with pytest.raises(ValueError, match="listing name 'X' is not lower-case letters"):
        Listing("X", "fnmatch:filter", "s")
    with pytest.raises(ValueError, match=r"which is not 'package.module:function'"):
        Listing("x", "fnmatch", "s")
    with pytest.raises(ValueError, match="listing 'x' needs a summary of one line"):
        Listing("x", "fnmatch:filter", "")


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_a_recipe_takes_time_if_it_says_any(minutes):
    assert Recipe("x", "package", "s", minutes=0.5).minutes == 0.5
    with pytest.raises(ValueError, match="minutes are not above 0"):
        Recipe("x", "package", "s", minutes=minutes)


@pytest.mark.parametrize("name", LISTED)
def test_a_listing_does_not_hide_what_lmkit_lists_itself(name):
    with pytest.raises(ValueError, match=f"listing name '{name}' is taken"):
        Listing(name, "fnmatch:filter", "s")


@pytest.mark.parametrize("name", ["../secrets", "Paper", ""])
def test_a_recipe_has_a_name_of_the_same_form(name):
    with pytest.raises(ValueError, match="recipe name"):
        Recipe(name, "package", "summary")


def test_a_recipe_reads_its_package_data(tmp_path, monkeypatch):
    package = tmp_path / "recipes_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fast.toml").write_text("[run]\nsteps = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Recipe("fast", "recipes_of_a_test", "quick").read() == "[run]\nsteps = 3\n"


@pytest.mark.parametrize(
    ("package", "reason"), [("collections", "FileNotFoundError"), ("nope", "ModuleNotFoundError")]
)
def test_a_recipe_without_its_file_is_a_plugin_error(package, reason):
    with pytest.raises(
        LmkitError, match=f"'fast' cannot be read from the package {package}: "
    ) as c:
        Recipe("fast", package, "quick").read()
    assert reason in c.value.problem
    assert c.value.code is ExitCode.PLUGIN
