"""From a plugin's name to its checks, and what is refused on the way."""

from pathlib import Path

import pytest

import lmkit_interintra
from lmkit.errors import LmkitError
from lmkit.registry import lookup
from lmkit.testing import checks_for

SUITE = """
import pytest
from lmkit.testing import checks_for

CHECKS = checks_for("lmkit_interintra", kinds=["pairing", "loss"], {extra})

@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_it_keeps_its_promises(check):
    if str(check) in ("pairing intra: routes", "pairing intra: options", "loss mse: cuda"):
        check()
"""


class Watch:
    """Remembers how pytest saw each test."""

    def __init__(self):
        self.seen = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            name = report.nodeid.partition("[")[2].rstrip("]")
            self.seen[name] = (report.outcome, str(report.longrepr or ""))


@pytest.fixture
def suite(tmp_path):
    """Run the one test a plugin needs, and return what came of each check."""

    def run(extra=""):
        watch = Watch()
        (tmp_path / "test_it.py").write_text(SUITE.format(extra=extra))
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            "-W",
            "error",
            "-c",
            "/dev/null",
        ]
        pytest.main([*options, f"--rootdir={tmp_path}", str(tmp_path)], plugins=[watch])
        return watch.seen

    return run


def names(*arguments, **keywords):
    return [str(check) for check in checks_for(*arguments, **keywords)]


@pytest.mark.parametrize("given", ["lmkit_interintra", lmkit_interintra])
def test_everything_that_a_plugin_brings_is_checked(given):
    found = names(given)
    assert found[:2] == ["plugin lmkit_interintra: loads", "plugin lmkit_interintra: light"]
    for component in lmkit_interintra.lmkit_components():
        assert f"{component.kind} {component.name}: interface" in found
    assert len(found) == len(set(found))


def test_a_package_may_bring_several_plugins():
    found = names("lmkit")
    assert "plugin lmkit.data: loads" in found
    assert "plugin lmkit.settings.recipes: loads" in found
    assert "detector hourglass: points" in found


def test_a_hook_module_names_its_plugin():
    assert names("lmkit.data.plugin") == names("lmkit.data")


def test_kinds_leave_out_the_rest():
    found = names("lmkit_interintra", kinds=["pairing"])
    assert {name.split()[0] for name in found} == {"pairing"}


def test_nothing_is_imported_or_built_before_a_check_is_called():
    names("lmkit_interintra", settings={"loss perceptual": {"weights": "/nowhere"}})


def test_settings_reach_the_component(tmp_path):
    settings = {"loss perceptual": {"weights": str(tmp_path / "none.pth")}}
    made = checks_for("lmkit_interintra", settings=settings)
    check = next(each for each in made if str(each) == "loss perceptual: works")
    outcome = check.outcome()
    assert "there is no such file" in outcome.problem
    assert outcome.remedy.startswith("Give loss.perceptual.weights")


def test_the_run_s_share_may_be_given_too():
    settings = {"detector hourglass": {"depth": 1, "features": 8, "landmarks": 2, "image_size": 24}}
    made = checks_for("lmkit_interintra", settings=settings, kinds=["detector"])
    next(each for each in made if str(each) == "detector hourglass: points")()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dept": 1}, "Did you mean 'depth'?"),
        ({"landmarks": "many"}, "landmarks='many' is not a whole number"),
        ({"image_size": 0}, "image_size=0 is too small"),
    ],
)
def test_settings_that_do_not_fit_fail_with_a_reason(options, problem):
    made = checks_for("lmkit_interintra", settings={"detector hourglass": options})
    check = next(each for each in made if str(each) == "detector hourglass: points")
    with pytest.raises(AssertionError) as caught:
        check()
    assert problem in str(caught.value)


def test_what_needs_an_option_says_how_to_give_it():
    made = {str(check): check for check in checks_for("lmkit.data")}
    assert made["dataset folder: interface"].outcome().state == "passed"
    outcome = made["dataset folder: keys"].outcome()
    assert outcome.state == "skipped"
    assert 'settings={"dataset folder": {"path": ...}}' in outcome.problem
    assert "--set dataset.folder.path=VALUE" in outcome.problem


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"settings": {"detector hourglas": {}}}, "Did you mean 'detector hourglass'?"),
        ({"expected_failures": {"loss mse: bf17": "?"}}, "Did you mean 'loss mse: bf16'?"),
        ({"expected_failures": {"loss mse: bf16": " "}}, "'loss mse: bf16' has no reason"),
        ({"kinds": ["detektor"]}, "Did you mean 'detector'?"),
    ],
)
def test_what_is_not_there_is_refused(keywords, problem):
    with pytest.raises(LmkitError) as caught:
        checks_for("lmkit_interintra", **keywords)
    assert problem in str(caught.value)


def test_an_unknown_plugin_is_refused():
    with pytest.raises(LmkitError, match="no plugin or package 'lmkit_interinta'") as caught:
        checks_for("lmkit_interinta")
    assert "Did you mean 'lmkit_interintra'?" in caught.value.remedy


def test_a_package_without_a_plugin_is_told_what_it_lacks():
    with pytest.raises(LmkitError, match="installed and announces no plugin") as caught:
        checks_for("Pillow")
    assert "[project.entry-points.lmkit]" in caught.value.remedy


def test_a_disabled_plugin_is_not_checked(monkeypatch):
    monkeypatch.setenv("LMKIT_DISABLE_PLUGINS", "lmkit_interintra")
    lookup.installed.cache_clear()
    try:
        with pytest.raises(LmkitError, match="is disabled"):
            checks_for("lmkit_interintra")
    finally:
        lookup.installed.cache_clear()


def test_pytest_sees_passes_failures_and_skips(suite):
    seen = suite('expected_failures={"pairing intra: options": "unsure"}')
    assert seen["pairing intra: routes"] == ("passed", "")
    outcome, text = seen["pairing intra: options"]
    assert outcome == "failed"
    assert "was expected to fail (unsure), but passes" in text


def test_pytest_sees_why_a_check_is_skipped(suite, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    outcome, text = suite()["loss mse: cuda"]
    assert outcome == "skipped"
    assert "there is no CUDA device here" in text


def test_the_kit_does_not_import_pytest():
    for path in (Path(__file__).parents[2] / "lmkit" / "testing").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "import pytest" not in source.replace(
            "    import pytest\n    from lmkit.testing", ""
        )
