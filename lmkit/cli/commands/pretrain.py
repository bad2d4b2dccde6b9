"""``lmkit pretrain``: train a detector on annotated points, for others to start from."""

from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import count_of, data_option
from lmkit.cli.train_or_pretrain import (
    Kind,
    carry_out,
    detector_option,
    loss_option,
    out_option,
    run_options,
)

if TYPE_CHECKING:
    from lmkit.registry.lookup import Registry
    from lmkit.run.run import Run
    from lmkit.settings.layers import Layer
    from lmkit.settings.settings import Settings


@click.command("pretrain", short_help="Train a detector on annotated points, to start from.")
@data_option("Annotated images: faces (generated), or KIND:PATH of lmkit list dataset.")
@out_option
@detector_option
@loss_option
@run_options
def pretrain_command(**given: Any) -> None:
    """Train a detector on annotated points, so that unsupervised training can start from it.

    The number of landmarks is the number of annotated points. The result is a run like any other,
    and the core of lmkit train --set detector.init=projection --set detector.core=RUN. Settings,
    Ctrl-C and --resume are as in lmkit train.
    """
    carry_out(Kind("pretrain", "pretrain", _usual_recipe, _settle, _measure, _next), **given)


def _usual_recipe(layers: "list[Layer]") -> str:
    return "pretrain-quick"


def _settle(base: "list[Layer]", layers: "list[Layer]", known: "Registry") -> "Settings":
    from lmkit.preparation.prepared import settle_on_points

    return settle_on_points(base, layers, known)


def _measure(run: "Run") -> dict[str, Any] | None:
    """Measure the detector's own points on held-out images, where there are any."""
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.evaluation.direct import measure_direct
    from lmkit.preparation.of_run import own_data

    with CountingProgress("evaluating") as progress:
        report = measure_direct(run, own_data(run), progress=progress)
    if report is None:
        return None
    NOTES.print(
        f"Direct error on {count_of(report.test_images, 'held-out image')}: "
        f"{report.direct:.2f} % (mean shape: {report.mean_shape:.2f} %), {report.unit}.",
        markup=False,
    )
    return report.to_dict()


def _next(run: "Run") -> str:
    if {"init", "core"} <= run.settings.detector.keys():
        return f"lmkit train --set detector.init=projection --set detector.core={run.path}"
    return f"lmkit predict {run.path} IMAGES --out DIR"
