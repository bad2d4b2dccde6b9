"""``lmkit fit``: named points from a few labelled images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.options import (
    RUN_PATH,
    assignments_layer,
    data_option,
    device_option,
    json_option,
    open_given_run,
    print_json,
    print_written,
    registry,
    set_option,
)
from lmkit.errors import LmkitError

if TYPE_CHECKING:
    from lmkit.points.report import Fit

SHOWN = 10
"""Up to so many points are listed, the worst, and so many outliers."""


@click.command("fit", short_help="Learn named points from a few labelled images.")
@click.argument("run", type=RUN_PATH)
@data_option("Images with labelled points, such as csv:labelled.csv.")
@set_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the map; the run's points/ if not given.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Decides folds and draws.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0), metavar="N",
              help="Processes that read; 0 for none. As in training if not given.")  # fmt: skip
@device_option
@json_option
def fit_command(
    run: Path,
    data: str | None,
    assignments: tuple[str, ...],
    out: Path | None,
    seed: int,
    batch_size: int,
    workers: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Fit a linear map from the landmarks of RUN to the labelled points of --data.

    Points may be missing on some images. What kind of map it is, its ridge and its bias are chosen
    by cross-validation, which also gives the error, how it falls with the number of labelled
    images, and which labels do not fit the others. Images that the data holds out for testing are
    left out.

    Writes DIR/map.json, which lmkit predict takes as --points DIR, and DIR/fit.json and
    DIR/images.csv with the errors.
    """
    known = registry()
    if data is None:
        raise LmkitError(
            "lmkit fit needs images with labelled points.",
            remedy="Give them with --data, such as --data csv:labelled.csv; lmkit suggest names "
            "images to label.",
        )
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.preparation.of_run import data_to_predict
    from lmkit.settings.layers import Layer, parse_data

    opened = open_given_run(run, device, exported=True)
    if opened.exported and out is None:
        raise LmkitError(
            f"{run} is a file, which has no folder for the map.",
            remedy="Give a folder with --out.",
        )
    layer = Layer("--data", {"data": parse_data(data, known)})
    dataset = data_to_predict(opened, [layer, assignments_layer(assignments)])
    for text in (*dataset.notes, *opened.prediction_notes()):
        NOTES.print(text, markup=False)
    folder = out or opened.path / "points"
    skipped: dict[str, str] = {}
    with CountingProgress("finding landmarks", unit="images") as progress:
        fit = opened.fit(
            dataset,
            folder,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            unreadable=skipped.__setitem__,
            progress=progress,
        )
    for name, reason in skipped.items():
        NOTES.print(f"Skipped {name}: {reason}", markup=False)
    for text in fit.notes:
        NOTES.print(text, markup=False)
    if as_json:
        print_json({**fit.to_dict(), "folder": str(folder)})
        return
    _print(fit)
    print_written([folder / name for name in ("images.csv", "fit.json", "map.json")])
    click.echo(f"Next: lmkit predict {run} IMAGES --points {folder} --out DIR")


def _print(fit: "Fit") -> None:
    from lmkit.cli.terminal import print_table

    bias = "with" if fit.map.bias else "without"
    worst = sorted(fit.point_errors.items(), key=lambda each: -each[1])
    rows = [(f"all {len(worst)} points", _number(fit.error))]
    rows += [(name, _number(error)) for name, error in worst[:SHOWN]]
    print_table(("error, % of the square's side", "cross-validated"), rows)
    if fit.curve:
        curve = [
            (str(row.images), f"{row.error:.2f}", f"{row.low:.2f} to {row.high:.2f}")
            for row in fit.curve
        ]
        print_table(("labelled images", "error %", "95 % of the draws"), curve)
    click.echo(
        f"Fitted to {fit.map.images} images: {fit.map.kind}, {bias} bias, ridge {fit.map.ridge:g}."
    )
    if fit.needed is not None:
        click.echo(f"Enough: {fit.needed} labelled images are within 10 % of the error of all.")
    elif fit.curve:
        click.echo("Not enough yet: the error still falls with the number of labelled images.")
    for each in fit.outliers[:SHOWN]:
        click.echo(
            f"Look at the labels of {each.name}: {each.point} is off by {each.ratio:.0f} times "
            "what is usual."
        )
    if (more := len(fit.outliers) - SHOWN) > 0:
        click.echo(f"And of {more} more, in images.csv.")


def _number(value: float) -> str:
    return "not known" if value != value else f"{value:.2f}"
