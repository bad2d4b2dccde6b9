"""What ``lmkit list`` shows beside components and recipes: the listings of plugins."""

import json

import pytest

PLUGIN = """
from lmkit.api import Listing, hookimpl

@hookimpl
def lmkit_listings():
    return [Listing("colour", "{target}", "what can be painted with")]
"""
COLOURS = """
from fnmatch import fnmatchcase

def colours(pattern):
    known = {"red": "like a rose", "green": "like grass", "grey": "like a mouse"}
    return ((name, line) for name, line in known.items() if fnmatchcase(name, pattern))
"""


@pytest.fixture
def colours(install, tmp_path):
    """Install a plugin with a listing."""
    (tmp_path / "site" / "colours_of_a_test.py").write_text(COLOURS)
    install("paint-box", PLUGIN.format(target="colours_of_a_test:colours"))


@pytest.fixture
def failing(install, tmp_path):
    """Install a plugin whose listing has this body."""

    def make(body):
        install(
            "paint-box",
            f"{PLUGIN.format(target='paint_box:colours')}\n\ndef colours(pattern):\n    {body}\n",
        )

    return make


def test_a_listing_is_shown_in_its_own_order_and_picked_by_wildcard(colours, lmkit):
    code, stdout, _ = lmkit("list", "colour")
    assert code == 0
    assert [line.split()[0] for line in stdout.splitlines()] == ["colour", "red", "green", "grey"]
    assert "  red    like a rose  [paint-box]" in stdout
    _, stdout, _ = lmkit("list", "colour", "gr*", "--json")
    assert json.loads(stdout) == [
        {"kind": "colour", "name": "green", "summary": "like grass", "package": "paint-box"},
        {"kind": "colour", "name": "grey", "summary": "like a mouse", "package": "paint-box"},
    ]
    assert lmkit("list", "colour", "blue") == (0, "", "Nothing fits.\n")


def test_listings_are_found_where_everything_is_listed_and_in_the_help(colours, lmkit):
    for arguments in ([], ["listing"], ["col*"]):
        _, stdout, _ = lmkit("list", *arguments)
        assert "colour" in stdout
        assert "what can be painted with  [paint-box]" in stdout
    _, stdout, _ = lmkit("list", "--help")
    listings = stdout.partition("Listings of plugins:\n")[2].splitlines()
    assert ["colour", "what can be painted with"] in [line.split(maxsplit=1) for line in listings]


RECIPES = """
from lmkit.api import Recipe, hookimpl

@hookimpl
def lmkit_recipes():
    return [
        Recipe("slow-paint", "paint_box", "a wall"),
        Recipe("quick-paint", "paint_box", "a door", minutes=4.5),
    ]
"""


def test_recipes_say_how_long_they_take_where_that_is_known(install, lmkit):
    install("paint-box", RECIPES)
    _, stdout, _ = lmkit("list", "recipe", "*-paint")
    assert stdout.splitlines()[1:] == [
        "  quick-paint  a door (4.5 min on 2 CPU cores)  [paint-box]",
        "  slow-paint   a wall  [paint-box]",
    ]


def test_a_misspelled_listing_is_corrected(colours, lmkit):
    code, _, stderr = lmkit("list", "color")
    assert code == 2
    assert "There is no kind or listing 'color'.\n  Did you mean 'colour'?" in stderr


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no\\n paint')", "RuntimeError: no paint."),
        ("return ['red']", "ValueError: too many values to unpack"),
        ("return [('red', 3)]", "TypeError: ('red', 3) is not a name and a line of text."),
        ("import paint_of_nobody", "ModuleNotFoundError: No module named 'paint_of_nobody'."),
    ],
)
def test_a_listing_that_fails_is_its_plugins_fault(failing, lmkit, body, reason):
    failing(body)
    code, stdout, stderr = lmkit("list", "colour")
    assert (code, stdout) == (4, "")
    assert "The listing 'colour' of plugin paint_box (package paint-box) failed: " in stderr
    assert reason.rstrip(".") in stderr
    assert "Update or reinstall paint-box." in stderr
    assert lmkit("list")[0] == 0


def test_a_listing_may_say_itself_what_is_missing(failing, lmkit):
    words = "'No paint.', remedy='Buy some.', code=7"
    failing(f"from lmkit.api import LmkitError; raise LmkitError({words})")
    code, _, stderr = lmkit("list", "colour")
    assert (code, stderr) == (7, "Error: No paint.\n  Buy some.\n")


def test_two_listings_of_one_name_are_told_apart_by_their_plugins(colours, install, lmkit):
    install("crayons", PLUGIN.format(target="colours_of_a_test:colours"))
    code, _, stderr = lmkit("list", "colour")
    assert code == 4
    assert "There is more than one kind or listing 'colour': one of plugin" in stderr
    assert "Say which: crayons/colour or paint_box/colour." in stderr
    _, stdout, _ = lmkit("list", "crayons/colour", "red")
    assert stdout == "colour\n  red  like a rose  [crayons]\n"
