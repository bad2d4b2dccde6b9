"""What several commands share: options that mean the same everywhere, and JSON on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lmkit.cli.commands import COMMANDS, FOR_SEVERAL_PROCESSES
from lmkit.cli.results import print_result
from lmkit.errors import ExitCode, LmkitError
from lmkit.runtime.launch import place

if TYPE_CHECKING:
    from lmkit.registry.lookup import Registry
    from lmkit.run.run import Run
    from lmkit.settings.layers import Layer

F = TypeVar("F", bound=Callable[..., Any])

RUN_PATH = click.Path(path_type=Path)
"""The type of a run folder's argument; whether it is one is checked where it is opened."""


def data_option(help_text: str) -> Callable[[F], F]:
    """Return the ``--data`` option."""
    return click.option("--data", "data", metavar="SPEC", help=help_text)


def device_option(function: F) -> F:
    """Add the ``--device`` option."""
    help_text = "auto, cpu, cuda, cuda:N or mps."
    return click.option("--device", metavar="DEVICE", help=help_text)(function)


def json_option(function: F) -> F:
    """Add the ``--json`` option."""
    help_text = "Print the result as JSON, alone on stdout."
    return click.option("--json", "as_json", is_flag=True, help=help_text)(function)


def set_option(function: F) -> F:
    """Add the ``--set`` option."""
    return click.option(
        "--set",
        "assignments",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        help="Set any option; may be given several times.",
    )(function)


def _use(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> None:
    from lmkit.registry.lookup import use

    use(words)


def with_plugin_option(command: click.Command) -> click.Command:
    """Add ``--plugin`` to a command, and to those in it; it is read before anything else."""
    if isinstance(command, click.Group) and command.commands:
        for inner in command.commands.values():
            with_plugin_option(inner)
    elif not any("--plugin" in parameter.opts for parameter in command.params):
        option = click.Option(
            ["--plugin", "lmkit_plugins"],
            metavar="FILE.py|MODULE",
            multiple=True,
            is_eager=True,
            expose_value=False,
            callback=_use,
            help="A plugin that is not installed; may be given several times.",
        )
        command.params.append(option)
    return command


def print_json(content: Any) -> None:
    """Print a result as JSON on stdout."""
    print_result(json.dumps(content, indent=2))


def print_written(written: Sequence[Path]) -> None:
    """Say which files were written, all in one folder; nothing if none were."""
    if written:
        names = ", ".join(path.name for path in written)
        click.echo(f"Written to {written[0].parent}: {names}")


def count_of(number: int, thing: str) -> str:
    """Return a number with its noun: ``1 image``, ``2 images``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def refuse_company(name: str) -> None:
    """Refuse to do N times what one process does.

    Args:
        name: The command's.

    Raises:
        LmkitError: If torchrun has started several processes for a command of one.
    """
    if place().world == 1:
        return
    if not place().is_first:
        sys.exit(ExitCode.USAGE)
    raise LmkitError(
        f"lmkit {name} is done by one process, and torchrun has started {place().world}.",
        remedy=f"Start it without torchrun; {' and '.join(FOR_SEVERAL_PROCESSES)} are for several.",
    )


def registry() -> "Registry":
    """Return the installed components, after naming broken plugins on stderr."""
    from lmkit.registry.lookup import installed

    if place().is_first:
        for line in plugin_notes():
            click.echo(line, err=True)
    return installed()


def open_given_run(path: Path, device: str | None, *, exported: bool = False) -> "Run":
    """Open a run, and name plugins that are here in another version than it had.

    Args:
        path: Its folder.
        device: Where it computes.
        exported: Whether a file that was exported from a run serves as well.
    """
    from lmkit.cli.terminal import NOTES
    from lmkit.run.run import open_run

    run = open_run(path, device=device or "auto")
    if not exported:
        run.need_folder()
    for text in run.notes():
        NOTES.print(f"Note: {text}", markup=False)
    return run


def plugin_notes() -> Iterator[str]:
    """Yield a line for every plugin that could not be loaded, and for every name used twice."""
    from lmkit.registry.lookup import installed

    for plugin in installed().problems():
        yield (
            f"Note: plugin '{plugin.name}' of {plugin.owner} is not used. "
            f"{plugin.problem_and_place} {plugin.remedy}"
        )
    for sentence in installed().taken(COMMANDS):
        yield f"Note: {sentence}"


def assignments_layer(assignments: tuple[str, ...]) -> "Layer":
    """Return the layer of ``--set`` words."""
    from lmkit.settings.layers import read_assignments

    return read_assignments(assignments)
