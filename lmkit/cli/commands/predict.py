"""``lmkit predict``: landmarks of plain images, as a table and drawn."""

from pathlib import Path

import click

from lmkit.cli.options import (
    RUN,
    count_of,
    device_option,
    json_option,
    open_run,
    print_json,
    registry,
)
from lmkit.errors import ExitCode


@click.command("predict", short_help="Find landmarks in images and draw them.")
@click.argument("run", type=RUN)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the landmarks and the drawings.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv",
              show_default=True, help="Form of the landmarks file.")  # fmt: skip
@click.option("--no-overlays", is_flag=True, help="Write the landmarks alone, no drawings.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0), metavar="N",
              help="Processes that read, and as many that draw; 0 for none. By default as many "
              "read as in training, and each core draws, up to 8.")  # fmt: skip
@device_option
@json_option
def command(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    form: str,
    no_overlays: bool,
    batch_size: int,
    workers: int | None,
    device: str | None,
    as_json: bool,
) -> int:
    """Find the landmarks of IMAGES (files, or folders of them) with the detector of RUN.

    Writes DIR/landmarks.csv or .json, in pixels of each image, the centre of its first pixel at
    (0, 0), and DIR/overlays with the landmarks drawn. An image that cannot be read is skipped and
    named in DIR/unreadable.csv.
    """
    registry()
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.prediction.album import find_images
    from lmkit.prediction.predict import OVERLAYS, predict_files
    from lmkit.runtime.signals import stop_on_signals

    opened = open_run(run, device)
    for text in opened.prediction_notes():
        NOTES.print(text, markup=False)
    found = find_images(images, without=out / OVERLAYS)
    with CountingProgress("predicting", unit="images") as progress, stop_on_signals() as stop:

        def advance(done: int, total: int) -> None:
            progress(done, total)
            # Raised here and not by the signal: while Python tidies up, it would be ignored.
            if stop:
                raise KeyboardInterrupt

        try:
            result = predict_files(
                opened,
                found,
                out,
                form=form,
                overlays=not no_overlays,
                batch_size=batch_size,
                workers=workers,
                progress=advance,
            )
        except KeyboardInterrupt:
            progress.stop()
            landmarks = out / f"landmarks.{form}"
            state = "is still that of before" if landmarks.exists() else "was not written"
            NOTES.print(
                f"Stopped after {progress.done} of {count_of(len(found), 'image')}: {landmarks} "
                f"{state}.",
                markup=False,
            )
            return stop.code if stop else ExitCode.INTERRUPTED
    for name, reason in result.reasons.items():
        NOTES.print(f"Skipped {name}: {reason}", markup=False)
    if more := result.unreadable - len(result.reasons):
        NOTES.print(f"Skipped {more} more; {result.unreadable_file} names all.", markup=False)
    if as_json:
        print_json(result.to_dict())
        return ExitCode.OK
    click.echo(f"{count_of(result.images, 'image')}: {result.landmarks}")
    if not no_overlays:
        click.echo(f"Drawn in {out / OVERLAYS}")
    return ExitCode.OK
