"""JSON is alone on stdout whatever plugins print, and odd letters end no command."""

import json
import os
import subprocess
import sys

import pytest

from lmkit.cli.main import main

NOISY = """
import os
from lmkit.api import Component, hookimpl

print("loading a model")
os.write(1, b"from a library\\n")

@hookimpl
def lmkit_components():
    print("components asked for")
    return [Component("detector", "probe", "noisy_parts:Probe", "prints")]
"""
COMMANDS = """
import click
import json
from lmkit.api import Command, hookimpl

@hookimpl
def lmkit_commands():
    return [Command("tell", "speaking:command", "prints JSON itself")]

@click.command()
@click.option("--json", "as_json", is_flag=True)
def command(as_json):
    click.echo(json.dumps({"own": as_json}))
"""


def in_another_process(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lmkit", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words", [("plugins",), ("list", "detector"), ("show", "loss", "mse"), ("cache", "list")]
)
def test_json_is_alone_where_a_plugin_prints(install, words, tmp_path):
    install("noisy", NOISY)
    done = in_another_process(*words, "--json", LMKIT_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    if words[0] != "cache":
        assert b"loading a model" in done.stderr
        assert b"from a library" in done.stderr


def test_json_is_alone_in_this_process_too(install, lmkit):
    install("noisy", NOISY)
    code, stdout, stderr = lmkit("list", "detector", "--json")
    assert code == 0
    json.loads(stdout)
    assert "components asked for" in stderr
    assert sys.stdout is not sys.stderr


def test_a_plugins_own_command_prints_its_own_json(install):
    install("speaking", COMMANDS)
    done = in_another_process("tell", "--json")
    assert json.loads(done.stdout) == {"own": True}, done.stderr


def test_help_stays_on_stdout(lmkit):
    code, stdout, _ = lmkit("list", "--json", "--help")
    assert code == 0
    assert "--json" in stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_json_is_written_where_it_can_be(closed):
    line = f"{sys.executable} -m lmkit list --json {closed}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    if ">&- " not in f"{closed} ".replace("2>&- ", ""):
        json.loads(done.stdout)


def test_letters_that_a_locale_lacks_are_escaped(tmp_path):
    odd = tmp_path / "f\u00e4lle"
    odd.mkdir()
    done = in_another_process(
        *("cache", "list", "--folder", str(odd)),
        **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert b"There is no cache in" in done.stdout


def test_bytes_that_are_no_text_are_escaped(lmkit, tmp_path):
    code, stdout, stderr = lmkit("cache", "list", "--folder", os.fsdecode(b"f\xe4lle"))
    assert code == 0, stderr
    assert "There is no cache in f" in stdout


def test_main_leaves_stdout_as_it_was(capsys):
    before = sys.stdout
    with pytest.raises(SystemExit):
        main(["list", "--json"])
    assert sys.stdout is before


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX streams")
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    words = (
        "import os, sys; from lmkit.cli.results import hold_streams; hold_streams(); "
        "file = open(sys.argv[1], 'w'); os.write(2, b'from a library'); "
        "sys.exit(file.fileno() < 3)"
    )
    line = f'{sys.executable} -c "{words}" {tmp_path / "file"} <&- >&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(["bash", "-c", line], env=environment, check=False).returncode == 0
    assert (tmp_path / "file").read_text() == ""
