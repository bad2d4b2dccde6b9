import pytest

from lmkit import api
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry import discovery
from lmkit.registry.discovery import check_api, discover

PLUGIN = """
LMKIT_API = {}

from lmkit.api import Component, hookimpl

@hookimpl
def lmkit_components():
    return [Component("detector", "probe", "nowhere:Nothing", "finds nothing")]
"""


@pytest.fixture(autouse=True)
def here_is_two_point_three(monkeypatch):
    monkeypatch.setattr(discovery, "API_VERSION", "2.3")


@pytest.mark.parametrize("wanted", [None, "2.3", "2.2", "2.0"])
def test_the_same_and_older_minor_versions_fit(wanted):
    check_api(wanted)


@pytest.mark.parametrize(
    ("wanted", "problem", "remedy"),
    [
        ("2.4", "It needs lmkit's plugin API 2.4, and lmkit 0", "Upgrade lmkit: pip install --up"),
        ("2.10", "It needs lmkit's plugin API 2.10", "Upgrade lmkit"),
        ("3.0", "It needs lmkit's plugin API 3.0", "Upgrade lmkit"),
        ("1.9", "It was written for lmkit's plugin API 1.9", "Update the plugin"),
        ("2", "Its LMKIT_API is '2', which is not a version of the form '2.3'.", "correct that"),
        ("2.3.1", "Its LMKIT_API is '2.3.1'", "LMKIT_API = '2.3'."),
        (2.3, "Its LMKIT_API is 2.3, which", "correct that"),
        ("", "Its LMKIT_API is ''", "correct that"),
    ],
)
def test_other_versions_are_refused(wanted, problem, remedy):
    with pytest.raises(LmkitError) as caught:
        check_api(wanted)
    assert caught.value.problem.startswith(problem)
    assert remedy in caught.value.remedy
    assert caught.value.code is ExitCode.PLUGIN


def test_the_version_of_this_lmkit_has_the_form_it_asks_of_others():
    assert discovery._FORM.fullmatch(api.API_VERSION)


@pytest.mark.parametrize(("wanted", "works"), [("'2.1'", True), ("'2.4'", False), ("2.3", False)])
def test_a_plugin_that_does_not_fit_is_named_and_the_others_work(install, wanted, works):
    install("some-plugin", PLUGIN.format(wanted))
    plugins = {plugin.name: plugin for plugin in discover({})}
    assert plugins["some_plugin"].api == wanted.strip("'")
    assert bool(plugins["some_plugin"].components) == works == (not plugins["some_plugin"].problem)
    assert not plugins["lmkit_interintra"].problem


def test_a_plugin_that_asks_the_door_for_what_is_not_there_may_need_a_newer_lmkit(install):
    install("some-plugin", "from lmkit.api import hookimpl, Telepathy")
    (plugin,) = (plugin for plugin in discover({}) if plugin.name == "some_plugin")
    assert "cannot import name 'Telepathy' from 'lmkit.api'" in plugin.problem
    assert plugin.remedy.startswith("It may need a newer lmkit (here the plugin API is ")
    assert "Update or uninstall some-plugin" in plugin.remedy
