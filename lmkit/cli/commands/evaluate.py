"""``lmkit evaluate``: a run's error on annotated images, or what can be told without annotation."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from lmkit.evaluation.protocol import Protocol
    from lmkit.evaluation.report import EvaluationReport
    from lmkit.evaluation.unlabelled import UnlabelledReport
    from lmkit.preparation.prepared import Prepared
    from lmkit.run.run import Run


@click.command("evaluate", short_help="Measure a trained detector, with annotation or without.")
@click.argument("run", type=RUN_PATH)
@data_option("Images, best annotated; the run's own, its held-out part, if not given.")
@set_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the files; in the run's evaluation/ if not given.")  # fmt: skip
@click.option("--no-files", is_flag=True, help="Print the result and write nothing.")
@click.option("--convention", default="lmkit", show_default=True, metavar="NAME",
              help="How the main figure is fitted: lmkit, li2020, sanchez2019, jakab2018, "
              "dve2019.")  # fmt: skip
@click.option("--normalise-by", "pair", metavar="A,B",
              help="Two points, by name or number, whose distance is 100 %; the data's eyes if not "
              "given.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, min_open=True), default=10.0,
              show_default=True, metavar="PERCENT",
              help="Error above which an image is a failure.")  # fmt: skip
@click.option("--labelled", default="1,5,10,100,500,1000,5000", show_default=True, metavar="N,...",
              help="Fit on so many labelled images too; 'none' leaves this out.")  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=10, show_default=True, metavar="N",
              help="Random draws of each number, where the convention does not say.")  # fmt: skip
@click.option("--stability", type=click.IntRange(0), default=200, show_default=True, metavar="N",
              help="Test images to turn and look at again; 0 leaves this out.")  # fmt: skip
@click.option("--no-controls", is_flag=True,
              help="Do not look at the images with the same network untrained.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Decides every random draw.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Images at a time.")  # fmt: skip
@device_option
@json_option
def evaluate_command(
    run: Path,
    data: str | None,
    assignments: tuple[str, ...],
    out: Path | None,
    no_files: bool,
    batch_size: int,
    device: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Measure the detector of RUN, against annotated points where the images have any.

    A linear regressor is fitted on training images, with the detector frozen, and tested on
    images that never trained. The errors of the same network untrained and of the mean shape stand
    beside the result. It is printed and written to evaluation.json, the errors of each image to
    errors.csv. Sheets show landmarks on many faces, the best and the worst; charts are drawn where
    matplotlib is installed.

    Images without annotation tell whether landmarks follow what they are on: how they go with known
    movements of an image, beside the same network untrained, and what is wrong with them. The
    images are ranked in images.csv, the worst first. Both end in a verdict.
    """
    known = registry()
    if out is not None and no_files:
        raise LmkitError(
            f"--out {out} and --no-files exclude each other.", remedy="Leave one of them out."
        )
    from lmkit.evaluation.report import folder_name
    from lmkit.preparation.of_run import is_own_data, other_data, own_data
    from lmkit.storage import made

    opened = open_given_run(run, device)
    if data is None and not assignments:
        ready = own_data(opened)
    else:
        from lmkit.settings.layers import Layer, parse_data

        layers = []
        if data is not None:
            layers.append(Layer("--data", {"data": parse_data(data, known)}))
        ready = other_data(opened, [*layers, assignments_layer(assignments)])
    protocol = _protocol(ready, **asked)
    annotated = bool(ready.dataset.point_names)
    folder = None
    if not no_files:
        own = is_own_data(opened, ready.settings)
        home = opened.path / "evaluation"
        folder = out or (home if own else home / folder_name(ready.settings.to_dict()["data"]))
    # Before the images are looked at: who cannot write should not wait for that.
    with nullcontext() if folder is None else made(folder):
        carry_out = _with_points if annotated else _without_points
        content, show, written = carry_out(opened, ready, protocol, batch_size, folder)
    if as_json:
        print_json(content)
        return
    show()
    print_written(written)


Outcome = tuple[dict[str, Any], Callable[[], None], list[Path]]
"""A report's JSON form, what prints it, and the files that were written."""


def _with_points(
    run: "Run", ready: "Prepared", protocol: "Protocol", batch_size: int, folder: Path | None
) -> Outcome:
    from lmkit.cli.evaluation_report import print_report
    from lmkit.cli.terminal import NOTES
    from lmkit.evaluation.charts import LEFT_OUT, can_plot
    from lmkit.evaluation.figures import write_figures

    report = measure(run, ready, protocol, batch_size)
    written = []
    if folder is not None:
        if not can_plot():
            NOTES.print(LEFT_OUT, markup=False)
        written = [*report.write(folder), *write_figures(report, ready.dataset, folder)]
    return report.to_dict(), partial(print_report, report), written


def _without_points(
    run: "Run", ready: "Prepared", protocol: "Protocol", batch_size: int, folder: Path | None
) -> Outcome:
    from lmkit.cli.label_free_report import print_unlabelled
    from lmkit.evaluation.unlabelled import write_sheets

    report = look(run, ready, protocol, batch_size)
    written = []
    if folder is not None:
        written = [*report.write(folder), *write_sheets(report, ready.dataset, folder)]
    return report.to_dict(), partial(print_unlabelled, report), written


def measure(
    run: "Run", ready: "Prepared", protocol: "Protocol", batch_size: int = 64
) -> "EvaluationReport":
    """Evaluate a run, with its progress and notes on the terminal."""
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.evaluation.protocol import evaluate

    for text in ready.notes():
        NOTES.print(text, markup=False)
    with CountingProgress("evaluating") as progress:
        return evaluate(run, ready, protocol, batch_size=batch_size, progress=progress)


def look(
    run: "Run", ready: "Prepared", protocol: "Protocol", batch_size: int = 64
) -> "UnlabelledReport":
    """Look at images without annotation, with progress and notes on the terminal."""
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.evaluation.unlabelled import evaluate_unlabelled

    with CountingProgress("evaluating") as progress:
        report = evaluate_unlabelled(
            run,
            ready,
            images=protocol.label_free,
            controls=bool(protocol.controls),
            seed=protocol.seed,
            batch_size=batch_size,
            progress=progress,
        )
    for text in report.notes:
        NOTES.print(text, markup=False)
    return report


def _protocol(
    ready: "Prepared",
    *,
    convention: str,
    pair: str | None,
    labelled: str,
    no_controls: bool,
    **asked: Any,
) -> "Protocol":
    """Turn options into what is measured."""
    from lmkit.evaluation.measures import pair_by_name
    from lmkit.evaluation.protocol import Protocol
    from lmkit.evaluation.regression import convention as convention_by_name

    if no_controls:
        asked["controls"] = 0
    return Protocol(
        convention=convention_by_name(convention),
        pair=None if pair is None else pair_by_name(pair, ready.dataset.point_names),
        labelled=_numbers(labelled),
        **asked,
    )


def _numbers(text: str) -> tuple[int, ...]:
    words = [] if text == "none" else [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise LmkitError(
            f"--labelled {text} is not a list of numbers of images.",
            remedy="Give it as 1,5,10, or 'none'.",
        )
    return tuple(map(int, words))
