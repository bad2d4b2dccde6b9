"""``lmkit predict``: landmarks of image files or of any data, as a table and drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import (
    RUN_PATH,
    assignments_layer,
    count_of,
    device_option,
    json_option,
    open_given_run,
    print_json,
    registry,
    set_option,
)
from lmkit.errors import ExitCode, LmkitError

if TYPE_CHECKING:
    from lmkit.prediction.sources import Source
    from lmkit.run.run import Run


@click.command("predict", short_help="Find landmarks in images and draw them.")
@click.argument("run", type=RUN_PATH)
@click.argument("data", nargs=-1, required=True)
@set_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the landmarks and the drawings.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["csv", "json", "coco", "dlc"]),
              default="csv", show_default=True,
              help="Form of the files; coco and dlc: COCO's and DeepLabCut's.")  # fmt: skip
@click.option("--points", "named", type=click.Path(path_type=Path), metavar="DIR",
              help="Named points too: the folder that lmkit fit wrote.")  # fmt: skip
@click.option("--confidence", is_flag=True,
              help="Confidence and covariance of each landmark too.")  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1), metavar="C",
              help="The same, and no landmark whose confidence is lower.")  # fmt: skip
@click.option("--no-overlays", is_flag=True, help="Write the landmarks alone, no drawings.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0), metavar="N",
              help="Processes that read, and as many that draw; 0 for none. By default as many "
              "read as in training, and each core draws, up to 8.")  # fmt: skip
@device_option
@json_option
def predict_command(
    run: Path,
    data: tuple[str, ...],
    assignments: tuple[str, ...],
    out: Path,
    named: Path | None,
    no_overlays: bool,
    device: str | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Find the landmarks of DATA with the detector of RUN.

    RUN is a run's folder, or a file that lmkit export wrote.

    DATA are image files, or folders of them; or one kind of data, as --data of lmkit train takes
    it: faces, csv:FILE, celeba:DIR ... (lmkit list dataset). --set data.KEY=VALUE sets its options.

    Writes DIR/landmarks.csv (.json, .coco.json, .dlc.csv), in pixels of each image, the centre of
    its first pixel at (0, 0), and DIR/overlays with the landmarks drawn. With --points,
    DIR/points.csv and so on holds named points, in the first two forms with their standard error,
    and they are what is drawn in colour. An image that cannot be read is skipped and named in
    DIR/unreadable.csv.

    With --confidence, the table has the confidence and covariance of each landmark as well, where
    the detector has probability maps, and ellipses of two standard deviations are drawn. With
    --min-confidence C, landmarks below C have empty cells (null in JSON) and are not drawn.
    """
    registry()
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.prediction.outputs import SUFFIXES
    from lmkit.prediction.predict import OVERLAYS, predict_images
    from lmkit.runtime.signals import stop_on_signals

    opened = open_given_run(run, device, exported=True)
    for text in opened.prediction_notes():
        NOTES.print(text, markup=False)
    points = None if named is None else opened.points_map(named)
    source = _source(opened, data, assignments, out / OVERLAYS)
    with CountingProgress("predicting", unit="images") as progress, stop_on_signals() as stop:

        def advance(done: int, total: int | None) -> None:
            progress(done, total)
            # Raised here and not by the signal: while Python tidies up, it would be ignored.
            if stop:
                raise KeyboardInterrupt

        try:
            result = predict_images(
                opened.predictor,
                source,
                out,
                overlays=not no_overlays,
                points=points,
                progress=advance,
                **how,
            )
        except KeyboardInterrupt:
            progress.stop()
            landmarks = out / f"landmarks.{SUFFIXES[how['form']]}"
            state = "is still that of before" if landmarks.exists() else "was not written"
            total = source.count()
            done = count_of(progress.done, "image")
            if total is not None:
                done = f"{progress.done} of {count_of(total, 'image')}"
            NOTES.print(f"Stopped after {done}: {landmarks} {state}.", markup=False)
            return stop.code if stop else ExitCode.INTERRUPTED
    for name, reason in result.reasons.items():
        NOTES.print(f"Skipped {name}: {reason}", markup=False)
    if more := result.unreadable - len(result.reasons):
        NOTES.print(f"Skipped {more} more; {result.unreadable_file} names all.", markup=False)
    if as_json:
        print_json(result.to_dict())
        return ExitCode.OK
    click.echo(f"{count_of(result.images, 'image')}: {result.landmarks}")
    if result.points is not None:
        click.echo(f"Named points: {result.points}")
    if not no_overlays:
        click.echo(f"Drawn in {out / OVERLAYS}")
    return ExitCode.OK


def _source(
    run: "Run", data: Sequence[str], assignments: tuple[str, ...], drawings: Path
) -> "Source":
    """Return the images that words mean: a path that exists is one, whatever else it may mean."""
    from lmkit.cli.terminal import NOTES
    from lmkit.prediction.album import find_images
    from lmkit.prediction.sources import DatasetImages, ImageFiles
    from lmkit.preparation.of_run import data_to_predict
    from lmkit.settings.layers import Layer, names_dataset, parse_data

    kinds = [word for word in data if names_dataset(word, run.registry)]
    paths = [word for word in kinds if Path(word).exists()]
    for word in paths:
        NOTES.print(
            f"Note: {word} is taken for the path of that name, which exists, and not for the kind "
            "of data. For that, call this from another folder.",
            markup=False,
        )
    kinds = [word for word in kinds if word not in paths]
    if not kinds:
        if assignments:
            raise LmkitError(
                f"--set {assignments[0]} sets options of data, and {data[0]} is a path.",
                remedy="Leave it out, or give a kind of data, such as faces or csv:FILE.",
            )
        images = find_images([Path(word) for word in data], without=drawings)
        for note in images.notes:
            NOTES.print(note, markup=False)
        return ImageFiles(images)
    if len(data) > 1:
        other = next((word for word in data if word != kinds[0]), kinds[0])
        raise LmkitError(
            f"{kinds[0]} is a kind of data, which does not go together with {other}.",
            remedy="Give files and folders, or one kind of data.",
        )
    layer = Layer("DATA", {"data": parse_data(kinds[0], run.registry)})
    dataset = data_to_predict(run, [layer, assignments_layer(assignments)])
    for note in dataset.notes:
        NOTES.print(note, markup=False)
    return DatasetImages(dataset)
