"""``lmkit data``: commands about data, apart from any run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.options import assignments_layer, json_option, print_json, registry, set_option
from lmkit.errors import ExitCode, LmkitError

if TYPE_CHECKING:
    from lmkit.preparation.check.report import DataReport

OUT = Path("data-check")
"""Where the sheets go, if nothing else is said."""
MOST_NAMES = 30
"""How many points are named."""
SECTIONS = ("data", "loading", "run")
"""The sections of the settings that say something about data."""
COUNTS = {
    "images": "images",
    "annotated": "all points known",
    "partly_annotated": "some points known",
    "points": "points an image",
    "subjects": "subjects",
    "train": "to train on",
    "fit": "to fit on",
    "test": "to test with",
    "left_out": "left out of every part",
    "copies_within_a_part": "copies within a part",
}


@click.group("data", short_help="Look a data set over before training on it.")
def data_command() -> None:
    """Commands about data, apart from any run."""


@data_command.command("check", short_help="Count, measure and compare images; draw a sample.")
@click.argument("spec")
@set_option
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True,
              metavar="DIR", help="Folder for the report and the sheets.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Read no image but those of the sample.")
@click.option("--strict", is_flag=True, help="End with exit code 3 for any finding.")
@json_option
def check_data(
    spec: str,
    assignments: tuple[str, ...],
    out: Path,
    quick: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Look over the data that --data SPEC would train on.

    Counts images, annotation, subjects and the parts that training would use, measures every
    image, and finds what cannot be read, points outside of their image, and images and
    subjects that are in training and in testing. Writes DIR/report.json, DIR/sample.png and, where
    images are alike, DIR/alike.png. Settings of data, loading and run may be set; the others are
    those of the recipe 'paper'. Ends with exit code 3 if training would refuse the data.
    """
    known = registry()
    from lmkit.cli.terminal import CountingProgress
    from lmkit.preparation.check.check import check as look_over
    from lmkit.preparation.check.sheets import write
    from lmkit.settings.layers import Layer, parse_data, read_recipe
    from lmkit.settings.recipes import FULL_RECIPE
    from lmkit.settings.settings import settle
    from lmkit.storage import made

    layer = assignments_layer(assignments)
    for section in layer.values:
        if section not in SECTIONS:
            raise LmkitError(
                f"--set {section}... says nothing about data.",
                remedy=f"Set options of {', '.join(SECTIONS)} here.",
            )
    data = Layer("SPEC", {"data": parse_data(spec, known)})
    settings = settle([*read_recipe(FULL_RECIPE, known), data, layer], known)
    # Before images are read: who cannot write should not wait for that.
    with made(out):
        with CountingProgress("reading") as progress:
            report = look_over(
                settings, settings.data_label, quick=quick, registry=known, progress=progress
            )
        written = write(report, out)
    if as_json:
        print_json({**report.to_dict(), "files": [str(path) for path in written]})
    else:
        _print(report, written)
    sys.exit(ExitCode.DATA if not report.usable or (strict and report.findings) else ExitCode.OK)


def _print(report: "DataReport", written: list[Path]) -> None:
    from lmkit.cli.terminal import print_table

    rows = [(COUNTS[name], f"{count:,}") for name, count in report.counts().items()]
    if report.sizes is not None:
        for axis, lengths in (("width", report.sizes.width), ("height", report.sizes.height)):
            least, median, greatest = lengths
            rows.append((f"{axis}: least, median, most", f"{least}, {median:g}, {greatest}"))
        rows.append((f"smaller than {report.sizes.image_size} pixels", f"{report.sizes.smaller:,}"))
    print_table((report.label, "count"), rows)
    names = report.dataset.point_names
    if names:
        shown = ", ".join(names[:MOST_NAMES])
        more = len(names) - MOST_NAMES
        click.echo(f"Points: {shown}{f' and {more} more' if more > 0 else ''}")
    if pair := report.normalised_by():
        click.echo(f"Errors are measured by the distance of {pair[0]} and {pair[1]}.")
    for finding in report.findings:
        click.echo(f"{'Problem' if finding.problem else 'Warning'}: {finding}")
    if not report.findings:
        click.echo("Nothing is wrong with it.")
    if report.quick:
        click.echo("Images were not read (--quick): sizes, pixels and damage were not looked at.")
    click.echo(f"Written: {', '.join(map(str, written))}")
