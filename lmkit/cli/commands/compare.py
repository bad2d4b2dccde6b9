"""``lmkit compare``: runs side by side, measured on the same images."""

import time
from dataclasses import replace
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
    from collections.abc import Sequence

    from lmkit.comparison.runs import Comparison
    from lmkit.comparison.unlabelled import UnlabelledComparison
    from lmkit.settings.layers import Layer


@click.command("compare", short_help="Compare runs: settings, errors, cost, the same faces.")
@click.argument("runs", type=RUN_PATH, nargs=-1, required=True)
@data_option("Images to measure all runs on, best annotated; their own if not given.")
@set_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the files; comparisons/<time> if not given.")  # fmt: skip
@click.option("--no-files", is_flag=True, help="Print the result and write nothing.")
@click.option("--no-controls", is_flag=True,
              help="Do not look at the images with the same networks untrained.")  # fmt: skip
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
    no_controls: bool,
    batch_size: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Compare two or more RUNS: what differs in their settings, and whether their errors differ.

    All are measured on the same test images, in pixels of the originals, each beside the same
    network untrained. A difference counts where its interval leaves 0 out. Where the images have no
    annotation, the runs are ranked by how far their landmarks follow what they are on. Written are
    comparison.md, comparison.json and faces.png, which shows the same faces once a run.
    """
    known = registry()
    if out is not None and no_files:
        raise LmkitError(
            f"--out {out} and --no-files exclude each other.", remedy="Leave one of them out."
        )
    from lmkit.settings.layers import Layer, parse_data

    layers = []
    if data is not None:
        layers.append(Layer("--data", {"data": parse_data(data, known)}))
    if assignments:
        layers.append(assignments_layer(assignments))
    comparison = measure_all(
        runs, layers, device=device, controls=not no_controls, batch_size=batch_size
    )
    folder = None
    if not no_files:
        folder = out or Path("comparisons") / time.strftime("%Y%m%d-%H%M%S")
    tell(comparison, folder, as_json=as_json)


def measure_all(
    runs: "Sequence[Path]",
    layers: "Sequence[Layer]" = (),
    *,
    device: str | None,
    controls: bool = True,
    batch_size: int = 64,
) -> "Comparison | UnlabelledComparison":
    """Compare runs, with annotation where the images have it, and with progress on the terminal."""
    from lmkit.cli.terminal import CountingProgress
    from lmkit.comparison.runs import gather, measure
    from lmkit.comparison.unlabelled import measure_unlabelled
    from lmkit.evaluation.protocol import QUICK

    with CountingProgress("comparing") as progress:
        gathered = gather(runs, layers, device or "auto")
        if not gathered.annotated:
            return measure_unlabelled(
                gathered, controls=controls, batch_size=batch_size, progress=progress
            )
        protocol = QUICK if controls else replace(QUICK, controls=0)
        return measure(gathered, protocol, batch_size=batch_size, progress=progress)


def tell(
    comparison: "Comparison | UnlabelledComparison", folder: Path | None, *, as_json: bool
) -> None:
    """Write a comparison, unless there is no folder for it, and print it."""
    from lmkit.cli.terminal import print_table
    from lmkit.comparison import write_comparison
    from lmkit.comparison.tables import statement, tables
    from lmkit.comparison.unlabelled import UnlabelledComparison

    if isinstance(comparison, UnlabelledComparison):
        written = [] if folder is None else comparison.write(folder)
        found, words = comparison.tables(), comparison.statement()
    else:
        written = [] if folder is None else write_comparison(comparison, folder)
        found, words = tables(comparison), statement(comparison)
    if as_json:
        print_json(comparison.to_dict())
        return
    for table in found:
        print_table(table.headings, table.rows, table.title)
    click.echo(words)
    for note in comparison.notes:
        click.echo(note)
    print_written(written)
