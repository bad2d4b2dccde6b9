"""``lmkit suggest``: the images that are most worth labelling, and a sheet for the labels."""

from pathlib import Path

import click

from lmkit.cli.options import (
    RUN_PATH,
    count_of,
    device_option,
    json_option,
    open_given_run,
    print_json,
    registry,
)
from lmkit.errors import LmkitError


@click.command("suggest", short_help="Name the images that are most worth labelling.")
@click.argument("run", type=RUN_PATH)
@click.argument("images", nargs=-1, required=True,
                type=click.Path(exists=True, path_type=Path))  # fmt: skip
@click.option("-n", "--number", type=click.IntRange(1), default=10, show_default=True, metavar="N",
              help="How many images.")  # fmt: skip
@click.option("--names", metavar="A,B,...",
              help="The points to label, such as left_eye,right_eye,nose.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.csv",
              help="Write a sheet to fill in.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0), metavar="N",
              help="Processes that read; 0 for none. As in training if not given.")  # fmt: skip
@device_option
@json_option
def suggest_command(
    run: Path,
    images: tuple[Path, ...],
    number: int,
    names: str | None,
    out: Path | None,
    batch_size: int,
    workers: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Name the N of IMAGES whose labels would tell most about the landmarks of RUN.

    IMAGES are files, or folders of them. The first is the most typical one, and each further one
    the most unlike those before. Images whose landmarks are at fault are left out.

    With --names and --out, a sheet is written with a row for each image and two columns for each
    point, in pixels, the centre of the first pixel at (0, 0). Filled in, it is read by
    lmkit fit RUN --data csv:FILE.csv. Cells may stay empty.
    """
    registry()
    if (names is None) != (out is None):
        raise LmkitError(
            "A sheet needs the names of the points and a file: --names and --out go together.",
            remedy="Give both, such as --names left_eye,right_eye --out sheet.csv, or neither.",
        )
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.evaluation.suggestions import check_sheet, suggest_images, write_sheet
    from lmkit.prediction.album import find_images
    from lmkit.prediction.sources import ImageFiles
    from lmkit.storage import made

    points = [] if names is None else [name.strip() for name in names.split(",")]
    if out is not None:
        check_sheet(out, points)
    opened = open_given_run(run, device)
    found = find_images(images)
    for text in (*found.notes, *opened.prediction_notes()):
        NOTES.print(text, markup=False)
    skipped: dict[str, str] = {}
    with CountingProgress("finding landmarks", unit="images") as progress:
        chosen = suggest_images(
            opened.predictor,
            ImageFiles(found),
            number,
            unreadable=skipped.__setitem__,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
    for name, reason in skipped.items():
        NOTES.print(f"Skipped {name}: {reason}", markup=False)
    if out is not None:
        with made(out.absolute().parent):
            write_sheet(out, [file for _, file in chosen], points)
    if as_json:
        sheet = None if out is None else str(out)
        print_json({"images": [name for name, _ in chosen], "sheet": sheet})
        return
    for name, _ in chosen:
        click.echo(name)
    if len(chosen) < number:
        NOTES.print(f"There are no more than {count_of(len(chosen), 'image')} to choose from.")
    if out is not None:
        click.echo(f"Fill in {out}, then: lmkit fit {run} --data csv:{out}")
