"""Commands that plugins add to ``lmkit``."""

import json
import sys

import pytest

PLUGIN = """
from lmkit.api import Command, hookimpl

@hookimpl
def lmkit_commands():
    return [Command("{name}", "{target}", "says hello")]
"""
GREET = """
import click

@click.command()
@click.argument("whom")
@click.option("--loud", is_flag=True)
def greet(whom, loud):
    "Greet somebody."
    {body}
    click.echo(f"Hello {{whom}}{{'!' if loud else '.'}}")
"""


@pytest.fixture
def greeting(install, tmp_path, monkeypatch):
    """Install a plugin with a command: ``greeting("polite-package", body="...")``."""

    def make(package="polite-package", name="greet", body="pass", module=None):
        monkeypatch.delitem(sys.modules, "greetings", raising=False)
        source = GREET.format(body=body) if module is None else module
        (tmp_path / "site" / "greetings.py").write_text(source)
        install(package, PLUGIN.format(name=name, target="greetings:greet"))

    return make


def test_a_plugins_command_is_called_like_any_other(greeting, lmkit):
    greeting()
    assert lmkit("greet", "Ada", "--loud") == (0, "Hello Ada!\n", "")
    assert lmkit("polite-package/greet", "Ada")[1] == "Hello Ada.\n"
    _, stdout, _ = lmkit("greet", "--help")
    assert "Usage: lmkit greet [OPTIONS] WHOM" in stdout


def test_it_stands_in_the_help_without_being_imported(greeting, lmkit):
    greeting(module="raise RuntimeError('imported')")
    code, stdout, stderr = lmkit("--help")
    assert (code, stderr) == (0, "")
    _, _, section = stdout.partition("Commands of plugins:\n")
    assert "  greet      says hello  [polite-package]\n" in section
    assert "\n  reproduce  Train and measure " in section
    assert "greetings" not in sys.modules


def test_it_is_told_by_lmkit_plugins(greeting, lmkit):
    greeting()
    (row,) = (r for r in json.loads(lmkit("plugins", "--json")[1]) if not r["built_in"])
    assert row["commands"] == ["greet"]
    assert "command greet" in lmkit("plugins")[1]


def test_its_own_exit_code_and_usage_errors_are_its_own(greeting, lmkit):
    greeting(body="click.get_current_context().exit(9)")
    assert lmkit("greet", "Ada")[0] == 9
    code, _, stderr = lmkit("greet")
    assert code == 2
    assert "Missing argument 'WHOM'" in stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        ("click.UsageError('Whom?')", 2, "Whom?"),
        ("KeyboardInterrupt", 130, "Stopped."),
        ("SystemExit(5)", 5, ""),
        ("lmkit.LmkitError('No voice.', remedy='Drink.')", 2, "No voice.\n  Drink."),
        ("OSError(28, 'No space left on device')", 7, "cannot be written"),
    ],
)
def test_ways_to_end_are_not_failures(greeting, lmkit, error, code, says):
    greeting(body=f"import lmkit; raise {error}")
    assert lmkit("greet", "Ada")[0] == code
    assert says in lmkit("greet", "Ada")[2]
    assert "failed" not in lmkit("greet", "Ada")[2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": "raise KeyError('voice')"}, "KeyError: 'voice'."),
        ({"body": "raise FileNotFoundError('song')"}, "FileNotFoundError: song."),
        ({"module": "import a_voice_of_nobody"}, "No module named 'a_voice_of_nobody'."),
        ({"module": "raise SystemExit(3)"}, "SystemExit: 3."),
        ({"module": "def greet(): ..."}, "TypeError: greet is not a command of click."),
        ({"module": ""}, "module 'greetings' has no attribute 'greet'."),
    ],
)
def test_a_command_that_fails_is_its_plugins_fault(greeting, lmkit, changes, reason):
    greeting(**changes)
    code, stdout, stderr = lmkit("greet", "Ada")
    assert (code, stdout) == (4, "")
    assert (
        "The command 'greet' of plugin polite_package (package polite-package) failed: " in stderr
    )
    assert reason.rstrip(".") in stderr
    assert "Update or reinstall polite-package" in stderr
    assert len(stderr.splitlines()) == 2
    assert lmkit("list")[0] == 0


def test_a_failure_shows_its_traceback_when_asked(greeting, monkeypatch):
    from lmkit.cli.main import main
    from lmkit.errors import LmkitError

    greeting(body="raise KeyError('voice')")
    monkeypatch.setenv("LMKIT_TRACEBACK", "1")
    with pytest.raises(LmkitError) as caught:
        main(["greet", "Ada"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_misspelled_command_is_corrected_among_all(greeting, lmkit):
    greeting()
    assert "Did you mean 'greet'?" in lmkit("gret")[2]
    assert "Did you mean 'train'?" in lmkit("trian")[2]
    code, _, stderr = lmkit("zzz")
    assert code == 2
    assert "The commands are: " in stderr
    assert ", export, fit, greet, list, " in stderr


def test_a_builtin_command_keeps_its_name_and_the_clash_is_told(greeting, lmkit):
    greeting(name="plugins")
    code, stdout, stderr = lmkit("--help")
    assert (code, stderr) == (0, "")
    assert "polite_package/plugins  says hello" in stdout
    note = (
        "Note: the command 'plugins' of plugin polite_package (package polite-package) has the "
        "name of one of lmkit's own, which is taken for it. Write polite_package/plugins for the "
        "plugin's, or set LMKIT_DISABLE_PLUGINS=polite_package."
    )
    assert note in " ".join(stdout.split())
    assert note in lmkit("list")[2]
    assert "lmkit_interintra" in lmkit("plugins")[1]
    assert lmkit("polite_package/plugins", "Ada")[1] == "Hello Ada.\n"


def test_a_command_that_lmkit_ships_keeps_its_name(greeting, lmkit):
    greeting(name="reproduce")
    section = lmkit("--help")[1].partition("Commands of plugins:\n")[2].partition("\n\n")[0]
    assert {line.split()[0] for line in section.splitlines() if line[2] != " "} == {
        "reproduce",
        "polite_package/reproduce",
    }
    assert lmkit("polite_package/reproduce", "Ada")[1] == "Hello Ada.\n"
    assert "Usage: lmkit reproduce [OPTIONS] {table1|" in lmkit("reproduce", "--help")[1]


def test_a_bug_in_a_command_that_lmkit_ships_keeps_its_traceback(lmkit, monkeypatch):
    from lmkit_interintra.tables.command import command

    def broken(**_):
        raise KeyError("a bug")

    monkeypatch.setattr(command, "callback", broken)
    with pytest.raises(KeyError, match="a bug"):
        lmkit("reproduce", "table1")


def test_two_plugins_with_one_command_are_told_apart(greeting, lmkit):
    greeting("blue")
    greeting("red")
    code, _, stderr = lmkit("greet", "Ada")
    assert code == 4
    assert "There is more than one command 'greet': one of plugin blue (package blue)" in stderr
    assert "Say which: blue/greet or red/greet." in stderr
    listed = [" ".join(line.split()) for line in lmkit("--help")[1].splitlines()]
    assert {"blue/greet says hello [blue]", "red/greet says hello [red]"} <= {*listed}
    assert lmkit("red/greet", "Ada")[1] == "Hello Ada.\n"
