"""``lmkit compare``: runs side by side, measured on the same images."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.options import (
    RUN_PATH,
    assignments_layer,
    data_option,
    device_option,
    json_option,
    print_json,
    print_written,
    registry,
    set_option,
)
from lmkit.errors import LmkitError

if TYPE_CHECKING:
    from lmkit.comparison.runs import Comparison


@click.command("compare", short_help="Compare runs: settings, errors, cost, the same faces.")
@click.argument("runs", type=RUN_PATH, nargs=-1, required=True)
@data_option("Annotated images to measure all runs on; their own if not given.")
@set_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the files; comparisons/<time> if not given.")  # fmt: skip
@click.option("--no-files", is_flag=True, help="Print the result and write nothing.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@device_option
@json_option
def compare_command(
    runs: tuple[Path, ...],
    data: str | None,
    assignments: tuple[str, ...],
    out: Path | None,
    no_files: bool,
    batch_size: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Compare two or more RUNS: what differs in their settings, and whether their errors differ.

    All are measured on the same test images, in pixels of the originals. A difference counts
    where its interval leaves 0 out. Written are comparison.md, comparison.json and faces.png, which
    shows the same faces once a run.
    """
    known = registry()
    if out is not None and no_files:
        raise LmkitError(
            f"--out {out} and --no-files exclude each other.", remedy="Leave one of them out."
        )
    from lmkit.cli.terminal import CountingProgress
    from lmkit.comparison import compare, write_comparison
    from lmkit.settings.layers import Layer, parse_data

    layers = []
    if data is not None:
        layers.append(Layer("--data", {"data": parse_data(data, known)}))
    if assignments:
        layers.append(assignments_layer(assignments))
    with CountingProgress("comparing") as progress:
        comparison = compare(
            runs, layers=layers, device=device or "auto", batch_size=batch_size, progress=progress
        )
    written = []
    if not no_files:
        folder = out or Path("comparisons") / time.strftime("%Y%m%d-%H%M%S")
        written = write_comparison(comparison, folder)
    if as_json:
        print_json(comparison.to_dict())
        return
    print_comparison(comparison)
    print_written(written)


def print_comparison(comparison: "Comparison") -> None:
    """Print a comparison's tables, what they come to, and what a reader must know."""
    from lmkit.cli.terminal import print_table
    from lmkit.comparison.tables import statement, tables

    for table in tables(comparison):
        print_table(table.headings, table.rows, table.title)
    click.echo(statement(comparison))
    for note in comparison.notes:
        click.echo(note)
