"""``lmkit plugins``: what is installed, from where, and what is wrong with it."""

from typing import Any

import click

from lmkit.cli.options import json_option, print_json


@click.command("plugins", short_help="List plugins, and what is wrong with any.")
@json_option
def plugins_command(as_json: bool) -> None:
    """List plugins with package, version, plugin API, file, import time, and what they bring.

    A broken plugin is named with its problem and a remedy; everything else works without it.
    """
    from lmkit.registry.lookup import installed

    rows: list[dict[str, Any]] = [
        {
            "name": plugin.name,
            "package": plugin.package,
            "version": plugin.version,
            "api": plugin.api,
            "built_in": plugin.built_in,
            "state": _state(plugin.problem, plugin.disabled),
            "import_ms": round(1000 * plugin.import_seconds, 1),
            "components": [f"{part.kind} {part.name}" for part in plugin.components],
            "recipes": [recipe.name for recipe in plugin.recipes],
            "listings": [listing.name for listing in plugin.listings],
            "commands": [command.name for command in plugin.commands],
            "file": plugin.file,
            "problem": plugin.problem,
            "remedy": plugin.remedy,
        }
        for plugin in installed().plugins
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        built_in = "built in" if row["built_in"] else f"{row['package']} {row['version']}"
        api = f"plugin API {row['api']}, " if row["api"] else ""
        click.echo(
            f"{row['name']}  ({built_in}, {row['state']}, {api}imported in {row['import_ms']} ms)"
        )
        if row["problem"]:
            click.echo(f"  problem: {row['problem']}\n  remedy:  {row['remedy']}")
        brought = [*row["components"], *(f"recipe {name}" for name in row["recipes"])]
        brought += [f"listing {name}" for name in row["listings"]]
        brought += [f"command {name}" for name in row["commands"]]
        if brought:
            click.echo(f"  {', '.join(brought)}")
        if row["file"]:
            click.echo(f"  {row['file']}")


def _state(problem: str, disabled: bool) -> str:
    if disabled:
        return "disabled"
    return "broken" if problem else "works"
