"""``lmkit evaluate``: a run's error on annotated pictures, beside the mean shape's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.common import (
    RUN,
    assignments_layer,
    count_of,
    data_option,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)

if TYPE_CHECKING:
    from lmkit.evaluation.protocol import Report
    from lmkit.preparation import Prepared
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
        report = measure_own(opened, opened.prepared(), batch_size)
    else:
        from lmkit import config

        layers = []
        if data is not None:
            layers.append(config.Layer("--data", {"data": config.parse_data(data, known)}))
        ready = other_data(opened, [*layers, assignments_layer(assignments)])
        report = _measure(opened, ready, _label(ready.settings.data), batch_size)
    if as_json:
        print_json(report.to_dict())
        return
    _print(report)


def measure_own(run: "Run", ready: "Prepared", batch_size: int = 64) -> "Report":
    """Evaluate a run on its own data."""
    return _measure(run, ready, _label(run.settings.data), batch_size)


def _label(data: dict[str, Any]) -> str:
    return ":".join(str(data[key]) for key in ("name", "path") if data.get(key))


def _measure(run: "Run", ready: "Prepared", label: str, batch_size: int) -> "Report":
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.evaluation.protocol import evaluate

    for text in ready.notes():
        NOTES.print(text, markup=False)
    with CountingProgress("evaluating") as progress:
        return evaluate(
            run,
            ready.dataset,
            ready.split.fit,
            ready.split.test,
            data=label,
            max_unreadable=ready.settings.loading.max_unreadable,
            batch_size=batch_size,
            progress=progress,
        )


def _print(report: "Report") -> None:
    from lmkit.cli.terminal import print_table
    from lmkit.data.crops import LEAK

    rows = [
        ("forward (with bias)", f"{report.forward:.2f}"),
        ("mean shape", f"{report.mean_shape:.2f}"),
        ("backward", f"{report.backward:.2f}"),
    ]
    per_point = zip(report.point_names, report.forward_per_point, strict=True)
    rows += [(f"forward, {name}", f"{error:.2f}") for name, error in per_point]
    print_table(("error, " + report.unit, "NME %"), rows)
    click.echo(
        f"Fitted on {report.fit_images} and tested on {count_of(report.test_images, 'picture')} of "
        f"{report.data}, framed by '{report.fit}', after {report.step} steps."
    )
    if report.crop is not None:
        made = f": {LEAK}" if report.crop_from_annotation else ""
        click.echo(f"The crop is {report.crop}{made}.")
    if report.unreadable:
        left_out = count_of(report.unreadable, "picture")
        click.echo(f"Left out, because unreadable: {left_out}.")
