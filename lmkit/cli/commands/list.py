"""``lmkit list``: what there is to choose from."""

from fnmatch import fnmatchcase

import click

from lmkit.cli.options import json_option, print_json, registry
from lmkit.registry.component import KINDS, LISTED, Recipe
from lmkit.registry.lookup import Registry


class NamingListings(click.Command):
    """A command whose help ends in what plugins add to it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the listings of the installed plugins."""
        from lmkit.registry.lookup import installed

        added = [(listing.name, listing.summary) for listing, _ in installed().listings()]
        if added:
            with formatter.section("Listings of plugins"):
                formatter.write_dl(added)


@click.command("list", cls=NamingListings, short_help="List components and recipes.")
@click.argument("kind", required=False)
@click.argument("pattern", required=False, default="*")
@json_option
def list_command(kind: str | None, pattern: str, as_json: bool) -> None:
    """List components and recipes: all, those of a KIND, or those whose name fits a PATTERN.

    Plugins may add listings of their own, which stand in the place of a KIND; `lmkit list listing`
    names them.

    Examples: lmkit list, lmkit list detector, lmkit list detector '*glass*', lmkit list recipe
    """
    known = registry()
    if kind is not None and any(sign in kind for sign in "*?["):
        pattern, kind = kind, None
    rows = _rows(known, kind, pattern)
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


def _rows(known: Registry, kind: str | None, pattern: str) -> list[dict[str, str]]:
    if kind is not None and kind not in LISTED:
        pairs, plugin = known.catalogue(kind, pattern)
        name = kind.rpartition("/")[2]
        return [_row(name, word, line, plugin.package) for word, line in pairs]
    rows = [
        _row(entry.component.kind, entry.component.name, entry.component.summary, package)
        for wanted in KINDS
        if kind in (None, wanted)
        for entry in known.components(wanted, pattern)
        for package in [entry.plugin.package]
    ]
    rows += [
        _row("recipe", recipe.name, _with_minutes(recipe), plugin.package)
        for recipe, plugin in known.recipes()
        if kind in (None, "recipe") and fnmatchcase(recipe.name, pattern)
    ]
    rows += [
        _row("listing", listing.name, listing.summary, plugin.package)
        for listing, plugin in known.listings()
        if kind in (None, "listing") and fnmatchcase(listing.name, pattern)
    ]
    return rows


def _with_minutes(recipe: Recipe) -> str:
    if recipe.minutes is None:
        return recipe.summary
    return f"{recipe.summary} ({recipe.minutes:g} min on 2 CPU cores)"


def _row(kind: str, name: str, summary: str, package: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "summary": summary, "package": package}
