"""``lmkit train``: from a recipe, flags and data to a run folder."""

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
from lmkit.settings.recipes import FULL_RECIPE

if TYPE_CHECKING:
    from lmkit.registry.lookup import Registry
    from lmkit.run.run import Run
    from lmkit.settings.layers import Layer
    from lmkit.settings.settings import Settings

EVALUATE_UP_TO = 5_000
"""Images that are evaluated at the end of training without being asked."""


@click.command("train", short_help="Train a detector on images without annotation.")
@data_option("Images: faces (generated), a folder, or KIND:PATH of lmkit list dataset.")
@out_option
@detector_option
@click.option("--generator", metavar="NAME", help="Redraws images; 'none' for methods without.")
@click.option("--deformation", metavar="NAME", help="Makes the two views of an image.")
@click.option("--pairing", metavar="NAME", help="Asks for reconstructions.")
@loss_option
@click.option("--landmarks", type=int, metavar="K", help="Number of landmarks.")
@run_options
def train_command(**given: Any) -> None:
    """Train a detector on images without annotation.

    Without anything else it trains on generated faces. Settings come from the recipe, then
    --config, then flags, then --set; later ones win. Ctrl-C finishes the step and saves; --resume
    goes on.
    """
    carry_out(Kind("train", FULL_RECIPE, _usual_recipe, _settle, _evaluate, _next), **given)


def _usual_recipe(layers: "list[Layer]") -> str:
    from lmkit.training.session import usual_recipe

    return usual_recipe(layers)


def _settle(base: "list[Layer]", layers: "list[Layer]", known: "Registry") -> "Settings":
    from lmkit.settings.settings import settle

    return settle([*base, *layers], known)


def _next(run: "Run") -> str:
    return f"lmkit predict {run.path} IMAGES --out DIR"


def _evaluate(run: "Run") -> dict[str, Any] | None:
    """Measure the finished run on its own held-out images, with annotation where there is any."""
    from lmkit.cli.commands.evaluate import look, measure
    from lmkit.cli.evaluation_report import print_health
    from lmkit.cli.terminal import NOTES
    from lmkit.evaluation.protocol import QUICK
    from lmkit.preparation.of_run import own_data

    def say(text: str) -> None:
        NOTES.print(text, markup=False)

    ready = own_data(run)
    split = ready.split
    annotated = bool(ready.dataset.point_names and split.fit and split.test)
    if not annotated or len(split.fit) + len(split.test) > EVALUATE_UP_TO:
        found = look(run, ready, QUICK)
        say(f"Health: {found.judgement.own.faults.sentence()}")
        say(f"Verdict: {found.verdict.sentence}")
        if annotated:
            say(f"To measure its error: lmkit evaluate {run.path}")
        return found.to_dict()
    report = measure(run, ready, QUICK)
    untrained = "" if report.untrained is None else f"untrained: {report.untrained:.2f} %, "
    say(
        f"Error on {count_of(report.test_images, 'held-out image')}: {report.forward:.2f} % "
        f"({untrained}mean shape: {report.mean_shape:.2f} %), {report.unit}."
    )
    print_health(report, say)
    return report.to_dict()
