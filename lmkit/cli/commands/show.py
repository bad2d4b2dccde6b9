"""``lmkit show``: one component's options and meaning, a pairing's routes, or a recipe."""

import inspect
from typing import Any

import click

from lmkit.cli.options import assignments_layer, json_option, print_json, registry, set_option
from lmkit.errors import LmkitError, did_you_mean
from lmkit.registry.component import KINDS
from lmkit.registry.options import (
    GIVEN_BY_RUN,
    REQUIRED,
    check_options,
    options_of,
    wanted_from_run,
)
from lmkit.registry.values import as_typed


@click.command("show", short_help="Show a component's options, a pairing's routes, or a recipe.")
@click.argument("kind")
@click.argument("name")
@set_option
@json_option
def show_command(kind: str, name: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Show every option of a component with its type, default and meaning.

    A pairing's routes are drawn, as they are with the options given: lmkit show pairing inter-intra
    --set pairing.cycle=false. For a recipe, its settings are printed as TOML.
    """
    kinds = (*KINDS, "recipe")
    if kind not in kinds:
        raise LmkitError(
            f"There is no kind '{kind}'.",
            remedy=did_you_mean(kind, kinds, all_of_them="The kinds are"),
        )
    known = registry()
    if kind == "recipe":
        recipe = known.recipe(name)
        text = recipe.read()
        if as_json:
            print_json({"kind": kind, "name": name, "summary": recipe.summary, "toml": text})
        else:
            click.echo(text, nl=not text.endswith("\n"))
        return
    entry = known.find(kind, name)
    cls = entry.load()
    options = [
        {
            "name": option.name,
            "type": option.type_name,
            "default": "needed" if option.default is REQUIRED else as_typed(option.default),
            "meaning": option.meaning,
        }
        for option in options_of(cls)
    ]
    given = {name: GIVEN_BY_RUN[name] for name in wanted_from_run(cls)}
    section = {"dataset": "data", "loss": f"loss.{name}", "writer": f"writer.{name}"}.get(
        kind, kind
    )
    routes = _routes(cls, assignments) if kind == "pairing" else []
    if as_json:
        print_json(
            {
                "kind": kind,
                "name": name,
                "summary": entry.component.summary,
                "package": entry.plugin.package,
                "version": entry.plugin.version,
                "class": entry.component.target,
                "options": options,
                "given_by_the_run": given,
                **({"routes": [route._asdict() for route in routes]} if routes else {}),
            }
        )
        return
    click.echo(f"{kind} {name}: {entry.component.summary}")
    click.echo(f"from {entry.plugin.package} {entry.plugin.version}, {entry.component.target}\n")
    click.echo(_description(cls))
    if options:
        from lmkit.cli.terminal import print_table

        headings = (f"--set {section}.…", "type", "default", "meaning")
        print_table(headings, [tuple(option.values()) for option in options])
    else:
        click.echo("\nIt has no options.")
    for argument, meaning in given.items():
        click.echo(f"The run gives {argument}: {meaning}")
    if routes:
        click.echo("\nRoutes, each compared with the real image at its end:\n")
        for route in routes:
            click.echo(f"  {draw_route(route)}")


def draw_route(route: Any) -> str:
    """Return one route as a line of arrows, each labelled with whose landmarks guide it."""
    text = f"[{route.source}]"
    for stop in route.stops[1:]:
        text += f" ──landmarks of {stop}──▶ " + (
            f"[{stop}]" if stop == route.target else "(redrawn)"
        )
    return text


def _routes(cls: Any, assignments: tuple[str, ...]) -> list[Any]:
    values = assignments_layer(assignments).values
    pairing = cls(**check_options(cls, values.get("pairing", {}), section="pairing"))
    return list(pairing.routes())


def _description(cls: type) -> str:
    """Return a class's docstring up to its first Google-style section."""
    lines = []
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        if line.rstrip() in ("Args:", "Raises:", "Example:", "Examples:", "Attributes:"):
            break
        lines.append(line)
    return "\n".join(lines).strip()
