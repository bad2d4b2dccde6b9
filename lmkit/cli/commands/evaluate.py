"""``lmkit evaluate``: a run's error on annotated images, beside the mean shape's."""

from contextlib import nullcontext
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
    from lmkit.preparation.prepared import Prepared
    from lmkit.run.run import Run


@click.command("evaluate", short_help="Measure a trained detector against annotated points.")
@click.argument("run", type=RUN_PATH)
@data_option("Annotated images; the run's own, its held-out part, if not given.")
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
    """Measure the detector of RUN against annotated points.

    A linear regressor is fitted on training images, with the detector frozen, and tested on
    images that never trained. The error of the mean shape stands beside the result. It is printed
    and written to evaluation.json, the errors of each image to errors.csv. Sheets show landmarks
    on many faces, the best and the worst; charts are drawn where matplotlib is installed.
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
    folder = None
    if not no_files:
        own = is_own_data(opened, ready.settings)
        home = opened.path / "evaluation"
        folder = out or (home if own else home / folder_name(ready.settings.to_dict()["data"]))
    # Before the images are looked at: who cannot write should not wait for that.
    with nullcontext() if folder is None else made(folder):
        report = measure(opened, ready, protocol, batch_size)
        written = [] if folder is None else _write(report, ready, folder)
    if as_json:
        print_json(report.to_dict())
        return
    from lmkit.cli.evaluation_report import print_report

    print_report(report)
    print_written(written)


def _write(report: "EvaluationReport", ready: "Prepared", folder: Path) -> list[Path]:
    from lmkit.cli.terminal import NOTES
    from lmkit.evaluation.charts import LEFT_OUT, can_plot
    from lmkit.evaluation.figures import write_figures

    if not can_plot():
        NOTES.print(LEFT_OUT, markup=False)
    return [*report.write(folder), *write_figures(report, ready.dataset, folder)]


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


def _protocol(
    ready: "Prepared", *, convention: str, pair: str | None, labelled: str, **asked: Any
) -> "Protocol":
    """Turn options into what is measured."""
    from lmkit.evaluation.measures import pair_by_name
    from lmkit.evaluation.protocol import Protocol
    from lmkit.evaluation.regression import convention as convention_by_name

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
