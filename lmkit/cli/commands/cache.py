"""``lmkit cache``: what images that were read once take on the disk, and getting rid of it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.options import F, count_of, json_option, print_json, registry
from lmkit.errors import ExitCode, LmkitError, did_you_mean

if TYPE_CHECKING:
    from lmkit.data.cache.cache_folder import CacheEntry


def folder_option(function: F) -> F:
    """Add the ``--folder`` option."""
    return click.option(
        "--folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where the caches are (loading.cache); the user's own if not given.",
    )(function)


@click.group("cache", short_help="List, verify or remove the caches of images that were read once.")
def cache_command() -> None:
    """List, verify or remove the caches of images that training has read once.

    They only save time: what is removed is built again when it is needed.
    """


@cache_command.command("list", short_help="List them, the one last used first.")
@folder_option
@json_option
def list_(folder: Path | None, as_json: bool) -> None:
    """List the caches: their data, size, and when they were last used."""
    from lmkit.cli.terminal import print_table
    from lmkit.preparation.keeping import in_bytes

    place, found = _find(folder)
    if as_json:
        rows = [{**entry._asdict(), "path": str(entry.path)} for entry in found]
        print_json({"folder": str(place), "caches": rows})
        return
    if not found:
        click.echo(f"There is no cache in {place}.")
        return
    print_table(
        ("cache", "data", "images", "side", "size", "last used"),
        [
            (
                entry.path.name,
                entry.label,
                f"{entry.shape[0]:,}" if entry.shape else "",
                str(entry.shape[-1]) if entry.shape else "",
                in_bytes(entry.bytes),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            )
            for entry in found
        ],
    )
    click.echo(f"{in_bytes(sum(entry.bytes for entry in found))} in {place}")


@cache_command.command("remove", short_help="Remove some or all of them.")
@click.argument("names", nargs=-1, metavar="CACHE...")
@click.option("--all", "everything", is_flag=True, help="Remove all of them.")
@folder_option
def remove(names: tuple[str, ...], everything: bool, folder: Path | None) -> None:
    """Remove caches, by the names that lmkit cache list shows."""
    from lmkit.data.cache.cache_folder import remove_cache
    from lmkit.preparation.keeping import in_bytes

    if everything == bool(names):
        raise LmkitError(
            "Which caches are to be removed is not said.",
            remedy="Give their names, as lmkit cache list shows them, or --all.",
        )
    place, found = _find(folder)
    chosen = found if everything else _choose(names, place, found)
    for entry in chosen:
        remove_cache(entry)
    size = in_bytes(sum(entry.bytes for entry in chosen))
    click.echo(f"Removed {count_of(len(chosen), 'cache')}, {size}.")


@cache_command.command("verify", short_help="Compare them with their data, image by image.")
@click.argument("names", nargs=-1, metavar="[CACHE...]")
@folder_option
@json_option
def verify(names: tuple[str, ...], folder: Path | None, as_json: bool) -> int:
    """Read every image of the data again and compare it with what is cached.

    A cache is otherwise believed where size, times and number of each file are what they were. All
    caches are compared if none is named. Nothing is changed. Ends with exit code 3 if an image is
    damaged in the cache or has changed since, or a cache cannot be compared.
    """
    from lmkit.cli.terminal import CountingProgress, print_table
    from lmkit.preparation.verifying import verify_cache

    known = registry()
    place, found = _find(folder)
    chosen = _choose(names, place, found) if names else found
    verdicts = []
    for entry in chosen:
        with CountingProgress(f"comparing {entry.path.name}", unit="images") as progress:
            verdicts.append(verify_cache(entry, known, progress))
    if as_json:
        print_json({"folder": str(place), "caches": [each.to_dict() for each in verdicts]})
    elif not verdicts:
        click.echo(f"There is no cache in {place}.")
    else:
        rows = [each.to_dict() for each in verdicts]
        print_table(
            ("cache", "data", "images", "damaged", "changed", "verdict"),
            [
                (
                    *(row["cache"], row["data"], f"{row['images']:,}"),
                    *(f"{len(row['damaged']):,}", f"{len(row['changed']):,}"),
                    "sound" if row["sound"] else row["problem"] or "not as the data",
                )
                for row in rows
            ],
        )
        if bad := [row["cache"] for row in rows if not row["sound"]]:
            click.echo(f"It is built again when it is needed: lmkit cache remove {' '.join(bad)}")
    return ExitCode.OK if all(each.sound for each in verdicts) else ExitCode.DATA


def _choose(names: tuple[str, ...], place: Path, found: "list[CacheEntry]") -> "list[CacheEntry]":
    by_name = {entry.path.name: entry for entry in found}
    for name in names:
        if name not in by_name:
            raise LmkitError(
                f"There is no cache '{name}' in {place}.",
                remedy=did_you_mean(name, by_name, all_of_them="The caches are"),
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def _find(folder: Path | None) -> tuple[Path, "list[CacheEntry]"]:
    from lmkit.data.cache.cache_folder import list_caches
    from lmkit.storage import cache_place

    place = folder or cache_place()
    return place, list_caches(place)
