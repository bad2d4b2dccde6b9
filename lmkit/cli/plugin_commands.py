"""The commands that plugins add: found by name, imported when they are called, blamed by name."""

from collections.abc import Collection, Iterator

import click

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import is_of_system


def offered(own: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield what to type for each command of a plugin, and what it is, without importing any.

    Args:
        own: The names of lmkit's own commands, which come first.
    """
    from lmkit.registry.lookup import installed

    found = installed().commands()
    names = [command.name for command, _ in found]
    for command, plugin in found:
        # What lmkit ships keeps its name.
        alone = command.name not in own and (plugin.built_in or names.count(command.name) == 1)
        package = "" if plugin.built_in else f"  [{plugin.package}]"
        word = command.name if alone else f"{plugin.name}/{command.name}"
        yield word, f"{command.summary}{package}"


def load(name: str, own: Collection[str]) -> click.Command:
    """Import a plugin's command.

    Raises:
        LmkitError: If there is none of this name, more than one, or it cannot be imported.
    """
    from lmkit.registry.lookup import installed

    record, _ = installed().command(name, own)
    try:
        command = record.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"{record.target.partition(':')[2]} is not a command of click")
    except LmkitError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(name, error) from error
    return command


def failure(name: str, error: BaseException) -> LmkitError:
    """Return the error for a plugin's command that failed."""
    from lmkit.registry.discovery import describe
    from lmkit.registry.lookup import installed
    from lmkit.registry.places import place_of

    record, plugin = installed().command(name)
    return LmkitError(
        f"The command '{record.name}' of plugin {plugin.name} ({plugin.owner}) failed: "
        f"{describe(error).rstrip('.')}{place_of(error)}.",
        remedy=f"{plugin.mend}, or report it to its author; "
        "LMKIT_TRACEBACK=1 shows where it failed.",
        code=ExitCode.PLUGIN,
    )


def is_built_in(name: str) -> bool:
    """Return whether a command is of a plugin that lmkit ships."""
    from lmkit.registry.lookup import installed

    return installed().command(name)[1].built_in


def is_unexpected(error: Exception) -> bool:
    """Return whether an exception is a failure of the command, and not the way it ends."""
    if isinstance(error, OSError):
        return not isinstance(error, BrokenPipeError) and not is_of_system(error)
    meant = (click.ClickException, click.exceptions.Exit, click.Abort, LmkitError)
    return not isinstance(error, meant)
