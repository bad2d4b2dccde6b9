"""``lmkit check-plugin``: a line for each check, and what to do about what fails."""

import importlib
import json
import re
import sys

import pytest

from lmkit.registry import lookup

HOOKS = """
from lmkit.api import Component, hookimpl

@hookimpl
def {hook}():
    return [Component("{kind}", "{name}", "{module}.parts:{part}", "a probe")]
"""
PARTS = '''
from lmkit.api import Loss, Pairing, Route

class Part(Pairing):
    """One way.

    Args:
        back: Whether there is a way back.
    """

    def __init__(self, *, back: bool = False) -> None:
        self.back = back

    def routes(self):
        there, back = Route("original", (), "deformed"), Route("deformed", (), "original")
        return ({returned}, back) if self.back else ({returned},)
'''
GOOD = {
    "hook": "lmkit_components",
    "kind": "pairing",
    "name": "one-way",
    "returned": "there",
    "part": "Part",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lay a package and its metadata on the path, as pip would."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(module, **changes):
        words = GOOD | {"module": module} | changes
        (site / module).mkdir()
        (site / module / "__init__.py").write_text(HOOKS.format(**words))
        (site / module / "parts.py").write_text(PARTS.format(**words))
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        package = module.replace("_", "-")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[lmkit]\n{module} = {module}\n")
        importlib.invalidate_caches()
        lookup.installed.cache_clear()

    yield install
    lookup.installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith("probe_")]:
        del sys.modules[name]


def said(text):
    return " ".join(text.split())


@pytest.mark.parametrize("given", ["probe_good", "probe-good", "Probe.Good"])
def test_a_good_plugin_passes_by_any_of_its_names(lmkit, install, given):
    install("probe_good")
    code, out, err = lmkit("check-plugin", given)
    assert (code, err) == (0, ""), out
    assert "passed   plugin probe_good: loads\n" in out
    assert "passed   pairing one-way: routes\n" in out
    assert "failed" not in out
    assert out.splitlines()[-1].endswith(" passed")


def test_what_is_not_kept_is_explained(lmkit, install):
    install("probe_bad", returned="('original', 'deformed')")
    code, out, _ = lmkit("check-plugin", "probe_bad")
    assert code == 4
    assert "failed   pairing one-way: works" in out
    assert "skipped  pairing one-way: routes  ('works' fails, which this rests on)" in out
    explained = said(out.partition("\npairing one-way: works")[2])
    assert "promise: It is built, and returns routes" in explained
    assert (
        "problem: pairing one-way: routes() returned a tuple of 2 instead of a tuple" in explained
    )
    assert re.search(r"\(\S+probe_bad/parts.py, line 14\)", explained)
    assert "remedy: Return a tuple of lmkit.api.Route" in explained
    assert "Traceback" not in out


def test_a_failure_may_be_expected_with_its_reason(lmkit, install):
    install("probe_bad", returned="('original', 'deformed')")
    expected = "pairing one-way: works=it is a sketch"
    code, out, _ = lmkit("check-plugin", "probe_bad", "--expect", expected)
    assert code == 0
    assert "expected pairing one-way: works  (it is a sketch (pairing one-way: routes()" in out
    code, out, _ = lmkit("check-plugin", "probe_bad", "--expect", "plugin probe_bad: loads=why not")
    assert code == 4
    assert "was expected to fail (why not), but passes" in out
    for word, problem in (
        ("pairing one-way: works", "is not CHECK=REASON"),
        ("pairing one-way: works=", "is not CHECK=REASON"),
        ("pairing one-way: wroks=so", "there is no check 'pairing one-way: wroks'"),
    ):
        code, _, err = lmkit("check-plugin", "probe_bad", "--expect", word)
        assert (code, problem in err) == (2, True), err


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"hook": "lmkit_component"}, "hook 'lmkit_component'", "Did you mean 'lmkit_components'?"),
        ({"kind": "paring"}, "component kind 'paring' is not one of", "Update or uninstall"),
        ({"name": "intra"}, "pairing 'intra', which plugin lmkit_interintra", "a name of its own"),
        ({"kind": "loss"}, "is not derived from it", "lmkit.api.Loss"),
        ({"part": "Prat"}, "cannot be loaded from probe_broken.parts:Prat", "reinstall"),
    ],
)
def test_what_keeps_it_from_being_used_is_a_failure_too(lmkit, install, changes, problem, remedy):
    install("probe_broken", **changes)
    code, out, _ = lmkit("check-plugin", "probe_broken")
    assert code == 4
    assert problem in said(out)
    assert remedy in said(out)


def test_options_and_kinds_can_be_given(lmkit, install):
    install("probe_good")
    arguments = ("--kind", "pairing", "--set", "pairing.one-way.back=true", "--json")
    code, out, err = lmkit("check-plugin", "probe_good", *arguments)
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert {row["check"].partition(":")[0] for row in rows} == {"pairing one-way"}
    assert {row["state"] for row in rows} == {"passed"}
    assert set(rows[0]) == {"check", "state", "problem", "remedy", "seconds"}


def test_a_value_that_does_not_fit_is_a_failure(lmkit, install):
    install("probe_good")
    code, out, _ = lmkit("check-plugin", "probe_good", "--set", "pairing.one-way.back=maybe")
    assert code == 4
    assert "pairing.back=maybe is not true or false" in out


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["probe-god"], 2, "Did you mean"),
        (["numpy"], 4, "installed and announces no plugin"),
        (["lmkit_interintra", "--kind", "paring"], 2, "Did you mean 'pairing'?"),
        (["lmkit_interintra", "--set", "pairing.cycle=true"], 2, "is not KIND.NAME.KEY=VALUE"),
        (
            ["lmkit_interintra", "--set", "pairing.inta.cycle=true"],
            2,
            "no component 'pairing inta'",
        ),
        (["lmkit_interintra", "--set", "pairing.intra.cycle"], 2, "is not section.key=value"),
    ],
)
def test_what_makes_no_sense_is_refused(lmkit, install, arguments, code, problem):
    install("probe_good")
    ended, out, err = lmkit("check-plugin", *arguments)
    assert (ended, out) == (code, "")
    assert problem in said(err)
