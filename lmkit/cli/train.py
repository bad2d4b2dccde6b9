"""``lmkit train``: from a recipe, flags and data to a run folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.common import (
    assignments_layer,
    count_of,
    data_option,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.values import as_typed

if TYPE_CHECKING:
    from lmkit.config import Layer, Settings
    from lmkit.engine.train import Outcome
    from lmkit.run import Run

EVALUATE_UP_TO = 5_000
"""Pictures that are evaluated at the end of training without being asked."""

RUN_FLAGS = ("steps", "batch_size", "landmarks", "image_size", "seed", "device", "checkpoint_every")
PART_FLAGS = ("detector", "generator", "deformation", "pairing")


@click.command("train", short_help="Train a detector on pictures without annotation.")
@data_option("Pictures: faces (generated), a folder, or KIND:PATH of lmkit list dataset.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the run.")
@click.option("--detector", metavar="NAME", help="Finds landmarks.")
@click.option("--generator", metavar="NAME", help="Redraws pictures; 'none' for methods without.")
@click.option("--deformation", metavar="NAME", help="Makes the two views of a picture.")
@click.option("--pairing", metavar="NAME", help="Asks for reconstructions.")
@click.option(
    "--loss", "losses", metavar="NAME", multiple=True, help="One or more, instead of the recipe's."
)
@click.option(
    "--writer",
    "writers",
    metavar="NAME",
    multiple=True,
    help="Receives metrics, pictures and checkpoints; none for no writer.",
)
@click.option("--landmarks", type=int, metavar="K", help="Number of landmarks.")
@click.option("--image-size", type=int, metavar="N", help="Side of the pictures the networks see.")
@click.option("--steps", type=int, metavar="N", help="Steps in total, also when resuming.")
@click.option("--batch-size", type=int, metavar="N", help="Pictures a step.")
@click.option("--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints.")
@click.option("--seed", type=int, metavar="N", help="Everything random follows from it.")
@device_option
@click.option("--recipe", metavar="NAME", help="Named settings to start from: lmkit list recipe.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Settings on top of the recipe.",
)
@set_option
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with a run.")
@click.option("--dry-run", is_flag=True, help="Check and show everything; write nothing.")
@json_option
def command(
    data: str | None,
    out: Path | None,
    losses: tuple[str, ...],
    writers: tuple[str, ...],
    recipe: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    resume: Path | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train a detector on pictures without annotation.

    Without anything else it trains on generated faces. Settings come from the recipe, then
    --config, then flags, then --set; later ones win. Ctrl-C finishes the step and saves; --resume
    goes on.
    """
    known = registry()
    from lmkit import config as settings_module

    sections: dict[str, Any] = {
        part: {"name": flags[part]} for part in PART_FLAGS if flags[part] is not None
    }
    sections["run"] = {name: flags[name] for name in RUN_FLAGS if flags[name] is not None}
    if data is not None:
        sections["data"] = settings_module.parse_data(data, known)
    layers: list[Layer] = [] if config is None else settings_module.read_config_file(config, known)
    layers.append(
        settings_module.Layer("the command line", sections, losses or None, writers or None)
    )
    layers.append(assignments_layer(assignments))

    from lmkit import training
    from lmkit.cli.terminal import NOTES, TrainingProgress
    from lmkit.preparation import settle

    if resume is not None:
        _refuse_with_resume(recipe=recipe, out=out, dry_run=dry_run or None)
        with TrainingProgress() as progress:
            _finish(*training.resume(resume, layers, [progress], known), as_json)
    if recipe is None and config is None:
        recipe = training.default_recipe()
        NOTES.print(_explain(recipe), markup=False)
    base = [] if recipe is None else settings_module.read_recipe(recipe, known)
    settings = settle([*base, *layers], known)
    if dry_run:
        _show_plan(settings, as_json)
        return
    with TrainingProgress() as progress:
        _finish(
            *training.start(settings, out or training.default_out(), [progress], known), as_json
        )


def _explain(recipe: str) -> str:
    if recipe == "quickstart":
        return (
            "No GPU and no --recipe: taking 'quickstart' (small pictures, narrow networks). "
            "--recipe paper is the full method."
        )
    return f"No --recipe: taking '{recipe}', the full method. --recipe quickstart takes minutes."


def _refuse_with_resume(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            flag = "--" + name.replace("_", "-")
            raise LmkitError(
                f"{flag} does not go with --resume, which takes everything from the run.",
                remedy=f"Leave {flag} out, or start a new run without --resume.",
            )


def _show_plan(settings: "Settings", as_json: bool) -> None:
    """Build everything, as training would, and report it."""
    from lmkit.cli.terminal import print_table
    from lmkit.engine.device import choose_device
    from lmkit.preparation import make_ready

    device = choose_device(settings.run.device)
    ready, assembly = make_ready(settings)
    sizes = {
        name: sum(p.numel() for p in network.parameters() if p.requires_grad)
        for name, network in assembly.networks()
    }
    split = {part: len(getattr(ready.split, part)) for part in ("train", "fit", "test")}
    routes = [str(route) for route in assembly.routes]
    if as_json:
        plan = {"settings": settings.to_dict(), "pictures": split, "routes": routes}
        print_json({**plan, "trainable_parameters": sizes, "device": str(device)})
        return
    rows = [(key, as_typed(value)) for key, value in settings.flat().items()]
    rows += [(f"pictures to {part}", str(count)) for part, count in split.items()]
    rows += [(f"trainable parameters, {name}", f"{size:,}") for name, size in sizes.items() if size]
    rows += [("route", route) for route in routes]
    print_table(("setting", "value"), [*rows, ("device", str(device))])


def _finish(run: "Run", outcome: "Outcome", as_json: bool) -> None:
    """Report the end of a run, and end the process as its stop demands."""
    from lmkit.cli.terminal import NOTES

    report: dict[str, Any] = {"run": str(run.path), "step": outcome.step}
    steps = run.settings.run.steps
    finished = outcome.step == steps
    if not finished:
        NOTES.print(
            f"Stopped at step {outcome.step} of {steps} and saved. "
            f"Go on with: lmkit train --resume {run.path}",
            markup=False,
        )
    else:
        report["evaluation"] = _evaluate(run)
        NOTES.print(
            f"Finished {count_of(steps, 'step')}. The run is in {run.path}, its pictures in "
            f"{run.folder.pictures}.\nNext: lmkit predict {run.path} PICTURES --out DIR",
            markup=False,
        )
    if as_json:
        print_json(report)
    sys.exit(outcome.stop.code if outcome.stop else ExitCode.OK)


def _evaluate(run: "Run") -> dict[str, Any] | None:
    """Measure the finished run on its own held-out pictures, where they are annotated."""
    from lmkit.cli.evaluate import measure
    from lmkit.cli.terminal import NOTES
    from lmkit.evaluation.protocol import QUICK

    ready = run.prepared()
    split = ready.split
    if not ready.dataset.point_names or not split.fit or not split.test:
        return None
    if len(split.fit) + len(split.test) > EVALUATE_UP_TO:
        NOTES.print(f"To measure its error: lmkit evaluate {run.path}", markup=False)
        return None
    report = measure(run, ready, QUICK)
    NOTES.print(
        f"Error on {count_of(report.test_images, 'held-out picture')}: {report.forward:.2f} % "
        f"(mean shape: {report.mean_shape:.2f} %), {report.unit}.",
        markup=False,
    )
    for warning in report.health.warnings():
        NOTES.print(f"Warning: {warning}", markup=False)
    return report.to_dict()
