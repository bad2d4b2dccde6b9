"""Writes docs/command-line.md from the commands themselves.

Commands of the plugins that lmkit ships stand behind its own. Nothing depends on the width of a
terminal, on other plugins or on the version of click.

    python docs/generate_command_line.py            write the page
    python docs/generate_command_line.py --check    fail if it is not up to date
"""

import inspect
import re
import sys

import click
from generated import DOCS, document_this_tree, finish

document_this_tree()

from lmkit.cli.commands import COMMANDS  # noqa: E402
from lmkit.cli.main import cli  # noqa: E402
from lmkit.registry.lookup import installed  # noqa: E402

INTRODUCTION = """\
# Command line

This page is generated from the commands; `lmkit COMMAND --help` prints the same.

    lmkit [--version] [-h | --help] COMMAND ...

| command | what it does |
|---|---|
"""

ENDING = """\

Results go to stdout, progress and notes to stderr. The exit codes and the environment variables
are on [their own page](errors.md), and what `--set` may set is in [settings](settings.md).
"""


def page() -> str:
    """Return the whole page."""
    brought = {record.name: record.summary for record, by in installed().commands() if by.built_in}
    commands = COMMANDS | brought
    rows = [f"| [`lmkit {name}`](#lmkit-{name}) | {text} |\n" for name, text in commands.items()]
    return INTRODUCTION + "".join(rows) + ENDING + "".join(map(sections, commands))


def sections(name: str) -> str:
    """Return the section of one command, and those of the commands in it."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    if not isinstance(command, click.Group):
        return section(name, command)
    text = f"\n## lmkit {name}\n\n{escape(help_of(command))}\n\n"
    text += "| command | what it does |\n|---|---|\n"
    for each, inner in command.commands.items():
        text += f"| [`lmkit {name} {each}`](#lmkit-{name}-{each}) | {inner.short_help} |\n"
    inner_sections = (section(f"{name} {each}", c) for each, c in command.commands.items())
    return text + "".join(inner_sections)


def help_of(command: click.Command) -> str:
    """Return what a command says about itself, a line a paragraph."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or ""))


def section(name: str, command: click.Command) -> str:
    """Return the section of one command."""
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    usage = " ".join([f"lmkit {name}", "[OPTIONS]", *map(argument_usage, arguments)])
    text = f"\n## lmkit {name}\n\n    {usage}\n\n{escape(help_of(command))}\n\n"
    text += "| option | meaning |\n|---|---|\n"
    for option in options:
        text += f"| {option_usage(option)} | {meaning(option)} |\n"
    return text + "| `-h`, `--help` | Show the help and exit. |\n"


def argument_usage(argument: click.Argument) -> str:
    """Return an argument as the usage line shows it."""
    word = str(argument.name).upper() + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def option_usage(option: click.Option) -> str:
    """Return an option's names with what they take."""
    value = ""
    if not option.is_flag:
        choices = getattr(option.type, "choices", None)
        value = f" {option.metavar or '|'.join(map(str, choices or ('VALUE',)))}"
    # A bar ends a cell of the table, in code too.
    return ", ".join(f"`{name}{value}`" for name in option.opts).replace("|", "\\|")


def meaning(option: click.Option) -> str:
    """Return what an option means, whether it is needed, and its default if it is shown."""
    text = escape(option.help or "")
    if option.required:
        text += " Needed."
    if option.show_default:
        text += f" Default: `{option.default}`."
    return text


def escape(text: str) -> str:
    """Return plain text as Markdown; what stands in backticks stays code."""
    return re.sub(r"([*<|])", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(finish(DOCS / "command-line.md", page()))
