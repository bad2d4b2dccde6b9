"""``lmkit new-plugin``: a package to start from, which installs, passes its tests and trains."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.component import KINDS

if TYPE_CHECKING:
    from lmkit.templates import Names

LICENCES = ("Apache-2.0", "MIT")
"""The licences to choose from; the first is the default."""


@click.command("new-plugin", short_help="Write a plugin's package to start from.")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    required=True,
    help="A kind of component to begin with, all of them, or command; may be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to write, which must not exist yet; by default called as the package.",
)
@click.option(
    "--licence",
    type=click.Choice(LICENCES),
    default=LICENCES[0],
    show_default=True,
    help="The licence of the package.",
)
def new_plugin_command(name: str, kinds: tuple[str, ...], out: Path | None, licence: str) -> None:
    """Write a package called NAME with one small, working component of each KIND.

    With its recipe, its tests (the conformance kit among them), a README, a workflow for continuous
    integration and a licence. It installs, passes its tests and trains as it is.

    Example: lmkit new-plugin mine --kind detector --kind loss
    """
    from lmkit.templates import names_of, package_files

    names = names_of(name)
    chosen = _kinds(kinds)
    folder = Path(names.distribution) if out is None else out
    if folder.exists():
        raise LmkitError(
            f"{folder} is there already.",
            remedy="Name a folder that is not with --out DIR, or remove that one.",
        )
    _warn_of_taken(names, chosen)
    _write(folder, package_files(names, chosen, licence))
    click.echo(f"Written to {folder}: {', '.join(chosen)} '{names.part}'. Next:\n")
    click.echo(f"  pip install -e '{folder}[test]'")
    click.echo(f"  lmkit check-plugin {names.distribution}")
    click.echo(f"  lmkit train --recipe {names.part} --out runs/{names.part}")


def _kinds(given: tuple[str, ...]) -> list[str]:
    from lmkit.templates import COMMAND

    for kind in given:
        if kind not in (*KINDS, "all", COMMAND):
            raise LmkitError(
                f"There is no kind '{kind}'.",
                remedy=did_you_mean(kind, (*KINDS, "all", COMMAND), all_of_them="The kinds are"),
            )
    chosen = [kind for kind in KINDS if kind in given or "all" in given]
    return [*chosen, COMMAND] if COMMAND in given else chosen


def _warn_of_taken(names: "Names", kinds: list[str]) -> None:
    """Name what would have to be told apart from another's part of the same name."""
    from lmkit.registry.lookup import installed

    known = installed()
    taken = [
        (f"{kind} '{names.part}'", entry.plugin)
        for kind in kinds
        for entry in known.components(kind, names.part)
    ]
    taken += [
        (f"recipe '{recipe.name}'", plugin)
        for recipe, plugin in known.recipes()
        if recipe.name == names.part
    ]
    for what, plugin in taken:
        if plugin.name != names.module:
            click.echo(
                f"Note: plugin {plugin.name} (package {plugin.package}) brings a {what}, too. "
                f"Yours would have to be called {names.module}/{names.part}; take another name.",
                err=True,
            )


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write all files, or none."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for path, text in texts.items():
                file = aside / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            aside.chmod(0o755)  # mkdtemp's own is for one user alone.
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        raise LmkitError(
            f"{folder} cannot be written: {error.strerror or error}.",
            remedy="Name another folder with --out DIR.",
            code=ExitCode.STORAGE,
        ) from error
