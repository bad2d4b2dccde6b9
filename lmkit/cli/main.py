"""The ``lmkit`` command: finds the commands, and turns errors into messages and exit codes.

Commands are imported when they are called, and import torch inside their functions, so that
``lmkit --help`` is instant.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import click

from lmkit import __version__
from lmkit.cli import plugin_commands
from lmkit.cli.commands import COMMANDS, FOR_SEVERAL_PROCESSES, WITHOUT_COMPONENTS
from lmkit.cli.options import refuse_company, with_plugin_option
from lmkit.cli.results import escape_unprintable, hold_streams, let_others_print, results_alone
from lmkit.errors import ExitCode, LmkitError, ToldElsewhereError
from lmkit.runtime.launch import place
from lmkit.storage import is_of_system, storage_error

_OUT_OF_MEMORY = LmkitError(
    "The memory of the device ran out.",
    remedy="Give a smaller --batch-size, smaller networks, or another --device; other programs may "
    "use that memory too (nvidia-smi names them).",
)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End the process in order when the reader of a pipe (head, less) has gone.

    Nothing is wrong then, and there is nothing more to say; click would exit with 1.
    """
    try:
        yield
    except BrokenPipeError:
        # Python flushes stdout once more as it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line, which may print the help."""
        with reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What a plugin's raises is reported as the plugin's failure."""
        with reader_may_leave():
            try:
                return super().invoke(ctx)
            except Exception as error:
                name = ctx.invoked_subcommand
                if not name or name in COMMANDS or not plugin_commands.is_unexpected(error):
                    raise
                if plugin_commands.is_built_in(name):
                    # As of lmkit's other commands: a bug, whose traceback is wanted.
                    raise
                raise plugin_commands.failure(name, error) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for.

        Raises:
            LmkitError: If it is for one process, and there are several.
        """
        if args[0] in COMMANDS and args[0] not in FOR_SEVERAL_PROCESSES:
            refuse_company(args[0])
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order a new user meets them, then those of plugins."""
        return [*COMMANDS, *(name for name, _ in plugin_commands.offered(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            LmkitError: If there is none of this name, with the closest one as its remedy.
        """
        if cmd_name.startswith("-"):
            return None
        if cmd_name not in COMMANDS:
            loaded = plugin_commands.load(cmd_name, COMMANDS)
            if not plugin_commands.is_built_in(cmd_name):
                let_others_print()
            return loaded and with_plugin_option(loaded)
        name = cmd_name.replace("-", "_")
        module = import_module(f"lmkit.cli.commands.{name}")
        command: click.Command = getattr(module, f"{name}_command")
        return command if cmd_name in WITHOUT_COMPONENTS else with_plugin_option(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if added := list(plugin_commands.offered(COMMANDS)):
            with formatter.section("Commands of plugins"):
                formatter.write_dl(added)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name broken plugins even here, where a user first looks."""
        from lmkit.cli.options import plugin_notes

        for line in plugin_notes():
            formatter.write_paragraph()
            formatter.write_text(line)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lmkit")
def cli() -> None:
    """Discover landmarks in images without annotation.

    Start with `lmkit train`, which needs neither data nor a GPU.
    """


# Before the command as well, where the command is the plugin's own.
with_plugin_option(cli)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with one of the documented exit codes."""
    hold_streams()
    escape_unprintable()
    try:
        with results_alone(sys.argv[1:] if arguments is None else arguments):
            result = cli.main(args=arguments, prog_name="lmkit", standalone_mode=False)
    except click.ClickException as error:
        if _is_first():
            error.show()
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except ToldElsewhereError as error:
        sys.exit(error.code)
    except LmkitError as error:
        if _wants_traceback():
            raise
        _explain(error)
        sys.exit(error.code)
    except RuntimeError as error:
        # Named and not imported, since torch is slow to import and may not be there yet.
        if type(error).__name__ != "OutOfMemoryError" or _wants_traceback():
            raise
        _explain(_OUT_OF_MEMORY)
        sys.exit(_OUT_OF_MEMORY.code)
    except OSError as error:
        if not is_of_system(error) or _wants_traceback():
            raise
        _explain(storage_error(error.filename or "The output", error))
        sys.exit(ExitCode.STORAGE)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def _is_first() -> bool:
    try:
        return place().is_first
    except LmkitError:
        return True


def _wants_traceback() -> bool:
    return os.environ.get("LMKIT_TRACEBACK", "") not in ("", "0")


def _explain(error: LmkitError) -> None:
    # Where nobody can be told, the exit status still says it.
    with suppress(OSError, ValueError):
        click.secho("Error: ", fg="red", nl=False, err=True)
        click.echo(error.problem, err=True)
        click.echo(f"  {error.remedy}", err=True)
