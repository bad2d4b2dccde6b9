"""``lmkit list``: what there is to choose from."""

import click

from lmkit.cli.common import json_option, print_json, registry
from lmkit.errors import LmkitError, did_you_mean
from lmkit.registry.component import KINDS


@click.command("list", short_help="List components and recipes.")
@click.argument("kind", required=False)
@click.argument("pattern", required=False, default="*")
@json_option
def command(kind: str | None, pattern: str, as_json: bool) -> None:
    """List components and recipes: all, those of a KIND, or those whose name fits a PATTERN.

    Examples: lmkit list, lmkit list detector, lmkit list detector '*glass*', lmkit list recipe
    """
    from fnmatch import fnmatchcase

    kinds = (*KINDS, "recipe")
    if kind is not None and kind not in kinds:
        if not any(sign in kind for sign in "*?["):
            raise LmkitError(
                f"There is no kind '{kind}'.",
                remedy=did_you_mean(kind, kinds, all_of_them="The kinds are"),
            )
        pattern, kind = kind, None
    known = registry()
    rows = [
        {
            "kind": entry.component.kind,
            "name": entry.component.name,
            "summary": entry.component.summary,
            "package": entry.plugin.package,
        }
        for entry in (() if kind == "recipe" else known.components(kind, pattern))
    ]
    if kind in (None, "recipe"):
        rows += [
            {
                "kind": "recipe",
                "name": recipe.name,
                "summary": recipe.summary,
                "package": plugin.package,
            }
            for recipe, plugin in known.recipes()
            if fnmatchcase(recipe.name, pattern)
        ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("Nothing fits.", err=True)
    width = max((len(row["name"]) for row in rows), default=0)
    last = None
    for row in rows:
        if row["kind"] != last:
            click.echo(("" if last is None else "\n") + row["kind"])
            last = row["kind"]
        package = "" if row["package"] == "lmkit" else f"  [{row['package']}]"
        click.echo(f"  {row['name']:<{width}}  {row['summary']}{package}")
