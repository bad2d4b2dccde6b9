"""``lmkit evaluate``: a run's error on annotated pictures, beside the mean shape's."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.common import (
    RUN,
    assignments_layer,
    data_option,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)

if TYPE_CHECKING:
    from lmkit.data.split import Split
    from lmkit.evaluation.protocol import Report
    from lmkit.interfaces.dataset import Dataset
    from lmkit.run import Run


@click.command("evaluate", short_help="Measure a trained detector against annotated points.")
@click.argument("run", type=RUN)
@data_option("Annotated pictures; the run's own, its held-out part, if not given.")
@set_option
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N",
              help="Pictures at a time.")  # fmt: skip
@device_option
@json_option
def command(
    run: Path,
    data: str | None,
    assignments: tuple[str, ...],
    batch_size: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Measure the detector of RUN against annotated points.

    A linear regressor is fitted on training pictures, with the detector frozen, and tested on
    pictures that never trained. The error of the mean shape stands beside the result.
    """
    known = registry()
    from lmkit.run import open_run, other_data

    opened = open_run(run, device=device or "auto")
    if data is None and not assignments:
        dataset = opened.dataset()
        report = measure_own(opened, dataset, opened.split(dataset), batch_size)
    else:
        from lmkit import config

        layers = []
        if data is not None:
            layers.append(config.Layer("--data", {"data": config.parse_data(data, known)}))
        dataset, split = other_data(opened, [*layers, assignments_layer(assignments)])
        report = _measure(opened, dataset, split, data or "own data", batch_size)
    if as_json:
        print_json(report.to_dict())
        return
    _print(report)


def measure_own(run: "Run", dataset: "Dataset", split: "Split", batch_size: int = 64) -> "Report":
    """Evaluate a run on its own data."""
    own = run.settings.data
    label = ":".join(str(own[key]) for key in ("name", "path") if own.get(key))
    return _measure(run, dataset, split, label, batch_size)


def _measure(
    run: "Run", dataset: "Dataset", split: "Split", label: str, batch_size: int
) -> "Report":
    from lmkit.cli.terminal import CountingProgress
    from lmkit.evaluation.protocol import evaluate

    with CountingProgress("evaluating") as progress:
        return evaluate(
            run,
            dataset,
            split.fit,
            split.test,
            data=label,
            batch_size=batch_size,
            progress=progress,
        )


def _print(report: "Report") -> None:
    from lmkit.cli.terminal import print_table

    rows = [
        ("forward (with bias)", f"{report.forward:.2f}"),
        ("mean shape", f"{report.mean_shape:.2f}"),
        ("backward", f"{report.backward:.2f}"),
    ]
    per_point = zip(report.point_names, report.forward_per_point, strict=True)
    rows += [(f"forward, {name}", f"{error:.2f}") for name, error in per_point]
    print_table(("error, " + report.unit, "NME %"), rows)
    click.echo(
        f"Fitted on {report.fit_images} and tested on {report.test_images} pictures of "
        f"{report.data}, framed by '{report.fit}', after {report.step} steps."
    )
    if report.unreadable:
        click.echo(f"{report.unreadable} pictures could not be read and are left out.")
