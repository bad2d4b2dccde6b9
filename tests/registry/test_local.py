"""Plugins that are not installed: found by file or module, known again by their content."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry import local, lookup
from lmkit.registry.discovery import discover

SOURCE = """
from lmkit.api import Component, hookimpl

WORD = "{word}"

@hookimpl
def lmkit_components():
    return [Component("loss", "probe", __name__ + ":Probe", WORD)]

class Probe:
    word = WORD
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget afterwards what was named, and what was remembered."""
    monkeypatch.setenv(local.VARIABLE, "")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    lookup.installed.cache_clear()
    yield
    for name in set(sys.modules) - before:
        if name.startswith("probe_"):
            del sys.modules[name]
    lookup.installed.cache_clear()


def write(word: str = "first", name: str = "probe_one.py") -> Path:
    path = Path(name).absolute()
    path.parent.mkdir(exist_ok=True)
    path.write_text(SOURCE.format(word=word))
    return path


def refused(*words: str | Path) -> LmkitError:
    with pytest.raises(LmkitError) as caught:
        lookup.use(words)
    return caught.value


def test_a_file_is_a_plugin_here_and_in_processes_that_this_one_starts() -> None:
    path = write()
    lookup.use(["probe_one.py"])
    entry = lookup.installed().find("loss", "probe")
    assert entry.load().word == "first"
    assert (entry.plugin.package, entry.plugin.given) == ("probe_one.py", str(path))
    assert entry.plugin.version == f"sha256:{local.digest(path)[:12]}"
    assert os.environ[local.VARIABLE] == str(path)
    # As in a process that starts anew with this environment.
    del sys.modules["probe_one"]
    plugin = next(each for each in discover() if each.given)
    assert (plugin.name, plugin.problem, len(plugin.components)) == ("probe_one", "", 1)


def test_a_module_is_one_too_from_the_working_directory() -> None:
    write(name="probe_two/__init__.py")
    write("inner", name="probe_two/inner.py")
    lookup.use(["probe_two.inner"])
    assert lookup.installed().find("loss", "probe").component.summary == "inner"
    missing = refused("probe_two.outer")
    assert missing.problem == "--plugin probe_two.outer: there is no module 'probe_two.outer'."


def test_a_file_that_has_changed_is_loaded_anew_and_one_that_has_not_is_not() -> None:
    path = write()
    lookup.use([path])
    first = lookup.installed().find("loss", "probe").load()
    lookup.use([path])
    assert lookup.installed().find("loss", "probe").load() is first
    write("second")
    lookup.use([path])
    assert lookup.installed().find("loss", "probe").load().word == "second"
    assert len([each for each in lookup.installed().plugins if each.given]) == 1


BROKEN = {
    "raises": ("x = 1\n1 / 0", "ZeroDivisionError: division by zero ({file}, line 2)."),
    "is no Python": (
        "x = 1\ndef (",
        "SyntaxError: invalid syntax (probe_one.py, line 2) ({file}, line 2).",
    ),
    "exits": ("raise SystemExit(0)", "SystemExit: 0 ({file}, line 1)."),
    "lacks a hook": ("x = 1", "It implements no hook."),
    "misspells one": (
        SOURCE.replace("lmkit_components", "lmkit_component"),
        "It implements the hook 'lmkit_component', which does not exist ({file}, line 6).",
    ),
    "forgets a list": (
        SOURCE.replace("return [Comp", "x = [Comp"),
        "TypeError: lmkit_components returned None instead of a list of Component ({file}, line "
        "6).",
    ),
    "asks for what is not there": (
        "from lmkit.api import Nothing",
        "ImportError: cannot import name 'Nothing' from 'lmkit.api'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_file_is_told_with_its_line(case: str) -> None:
    source, problem = BROKEN[case]
    path = write()
    path.write_text(source)
    error = refused(path)
    told = f"--plugin {path}: {problem.format(file=path).rstrip('.')}"
    assert error.problem.startswith(told)
    assert error.code == ExitCode.PLUGIN
    assert not os.environ[local.VARIABLE]


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("my-loss.py", "has not the name of a Python file that can be imported"),
        ("folder/loss", "has not the name of a Python file"),
        ("json.py", "the name 'json' is that of another module"),
        ("probe_none.py", "cannot be read: No such file or directory"),
        ("two words", "is neither a Python file nor the name of a module"),
    ],
)
def test_what_cannot_be_a_plugin_is_refused(word: str, problem: str) -> None:
    if word == "json.py":
        write(name=word)
    assert problem in refused(word).problem


def test_two_files_of_one_name_are_not_taken_for_one_another() -> None:
    lookup.use([write(name="one/probe_one.py")])
    error = refused(write(name="two/probe_one.py"))
    assert "the name 'probe_one' is that of another module" in error.problem
    assert "Rename the file" in error.remedy


def test_a_broken_one_of_the_environment_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write()
    path.write_text("1 / 0")
    monkeypatch.setenv(local.VARIABLE, os.pathsep.join([str(path), "no.such.module"]))
    broken = {each.name: each for each in discover() if each.given}
    assert broken["probe_one"].problem == "ZeroDivisionError: division by zero."
    assert broken["probe_one"].place == f" ({path}, line 1)"
    assert "there is no module 'no'" in broken["no.such.module"].problem


def origin(path: Path, sha256: str) -> dict[str, str]:
    return {"given": str(path), "file": str(path), "sha256": sha256}


def test_a_run_finds_a_file_again_that_this_user_has_named_and_no_other() -> None:
    path = write()
    known = origin(path, local.digest(path))
    lookup.use_as_before([known], lookup.installed())
    assert not any(each.given for each in lookup.installed().plugins)  # A run from elsewhere.
    lookup.use([path])
    lookup.installed.cache_clear()
    os.environ[local.VARIABLE] = ""
    lookup.use_as_before([known], lookup.installed())
    assert lookup.installed().find("loss", "probe")
    lookup.installed.cache_clear()
    os.environ[local.VARIABLE] = ""
    write("changed")
    lookup.use_as_before([known], lookup.installed())
    assert not any(each.given for each in lookup.installed().plugins)


def test_no_name_of_a_run_leads_out_of_the_folder_of_what_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "other").touch()
    assert not local.is_remembered("../other")


def test_what_a_file_brings_can_be_handed_to_a_process_that_starts_anew() -> None:
    lookup.use([write()])
    made = lookup.installed().find("loss", "probe").load()()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(getattr, (made, "word")) == "first"
