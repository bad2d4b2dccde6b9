"""What ``lmkit train`` and ``lmkit pretrain`` share: options, and the way to a finished run."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import (
    F,
    assignments_layer,
    count_of,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.values import as_typed
from lmkit.runtime.launch import place
from lmkit.settings.recipes import PHOTOS_RECIPE

if TYPE_CHECKING:
    from lmkit.registry.lookup import Registry
    from lmkit.run.run import Run
    from lmkit.settings.layers import Layer
    from lmkit.settings.settings import Settings
    from lmkit.training.loop import TrainingOutcome

_STEPS = "Steps in total, also when resuming; the schedule of a new run is scaled to them."
RUN_FLAGS = ("steps", "batch_size", "landmarks", "image_size", "seed", "device", "checkpoint_every")
PART_FLAGS = ("detector", "generator", "deformation", "pairing")


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one of the commands apart.

    Args:
        command: Its name.
        full_recipe: What is named to whoever names no recipe.
        usual_recipe: What it takes then, on every device; the user's settings may decide.
        settle: From the recipe's layers and the user's to checked settings.
        measure: Tells the error of a finished run, and returns its JSON form.
        next: What to type after a run, as words of the command line.
    """

    command: str
    full_recipe: str
    usual_recipe: "Callable[[list[Layer]], str]"
    settle: "Callable[[list[Layer], list[Layer], Registry], Settings]"
    measure: "Callable[[Run], dict[str, Any] | None]"
    next: "Callable[[Run], str]"


def out_option(function: F) -> F:
    """Add the ``--out`` option."""
    path = click.Path(path_type=Path)
    return click.option("--out", type=path, metavar="DIR", help="Folder of the run.")(function)


def detector_option(function: F) -> F:
    """Add the ``--detector`` option."""
    return click.option("--detector", metavar="NAME", help="Finds landmarks.")(function)


def loss_option(function: F) -> F:
    """Add the ``--loss`` option."""
    help_text = "One or more, instead of the recipe's."
    option = click.option("--loss", "losses", metavar="NAME", multiple=True, help=help_text)
    return option(function)


def run_options(function: F) -> F:
    """Add the options that decide how a run goes, and where its settings come from."""
    path = click.Path(path_type=Path)
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    options = (
        click.option("--image-size", help="Side of the images the networks see.", **number),
        click.option("--steps", help=_STEPS, **number),
        click.option("--batch-size", help="Images a step, of all processes.", **number),
        click.option("--checkpoint-every", help="Steps between checkpoints.", **number),
        click.option("--seed", help="Everything random follows from it.", **number),
        device_option,
        click.option(
            "--writer",
            "writers",
            metavar="NAME",
            multiple=True,
            help="Receives metrics, sheets and checkpoints; none for no writer.",
        ),
        click.option(
            "--recipe", metavar="NAME", help="Named settings to start from: lmkit list recipe."
        ),
        click.option(
            "--config", type=path, metavar="FILE.toml", help="Settings on top of the recipe."
        ),
        set_option,
        click.option("--resume", type=path, metavar="DIR", help="Go on with a run."),
        click.option("--dry-run", is_flag=True, help="Check and show everything; write nothing."),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def carry_out(kind: Kind, *, as_json: bool, **given: Any) -> None:
    """Do what one of the commands was asked to do.

    Args:
        kind: Which command.
        as_json: ``--json``.
        given: The command's other options, by the names that they have in ``_train``.
    """
    with _together():
        trained = _train(kind, as_json=as_json, **given)
    if trained is not None:
        _finish(kind, *trained, as_json)


@contextmanager
def _together() -> Iterator[None]:
    """Join the other processes, if torchrun has started any; they hear of every error from here."""
    if place().world == 1:
        yield
        return
    from lmkit.training.processes import together

    with together():
        yield


def _train(
    kind: Kind,
    *,
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
) -> "tuple[Run, TrainingOutcome] | None":
    """Train, or go on with a run, or only show what would be done.

    Args:
        kind: Which command.
        data: ``--data``.
        out: ``--out``.
        losses: Every ``--loss``.
        writers: Every ``--writer``.
        recipe: ``--recipe``.
        config: ``--config``.
        assignments: Every ``--set``.
        resume: ``--resume``.
        dry_run: ``--dry-run``.
        as_json: ``--json``.
        flags: The flags of ``RUN_FLAGS`` and ``PART_FLAGS`` that the command has, none where not
            given.
    """
    known = registry()
    layers = layers_of(
        known,
        data=data,
        losses=losses,
        config=config,
        assignments=assignments,
        flags=flags,
        writers=writers,
    )

    from lmkit.cli.terminal import NOTES, TrainingProgress
    from lmkit.settings.layers import read_recipe
    from lmkit.training import session as training

    if resume is not None:
        _refuse_with_resume(recipe=recipe, out=out, dry_run=dry_run or None)
        with TrainingProgress() as progress:
            return training.resume(resume, layers, [progress], known)
    if recipe is None and config is None:
        recipe = kind.usual_recipe(layers)
        if place().is_first:
            NOTES.print(_explain(recipe, kind.full_recipe, known), markup=False)
    base = [] if recipe is None else read_recipe(recipe, known)
    settings = kind.settle(base, layers, known)
    if dry_run:
        if place().is_first:
            _show_plan(settings, as_json)
        return None
    out = out or training.default_out()
    with TrainingProgress() as progress:
        return training.start(settings, out, [progress], known)


def layers_of(
    known: "Registry",
    *,
    data: str | None,
    losses: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    flags: dict[str, Any],
    writers: tuple[str, ...] = (),
) -> "list[Layer]":
    """Return what was asked for on top of a recipe: the file, then flags, then ``--set``.

    Args:
        known: Where components are looked up.
        data: ``--data``.
        losses: Every ``--loss``.
        config: ``--config``.
        assignments: Every ``--set``.
        flags: Some of ``RUN_FLAGS`` and ``PART_FLAGS``, none where not given.
        writers: Every ``--writer``.
    """
    from lmkit.settings.layers import Layer, parse_data, read_config_file

    given = {name: value for name, value in flags.items() if value is not None}
    sections: dict[str, Any] = {part: {"name": given[part]} for part in PART_FLAGS if part in given}
    sections["run"] = {name: given[name] for name in RUN_FLAGS if name in given}
    if data is not None:
        sections["data"] = parse_data(data, known)
    layers = [] if config is None else read_config_file(config, known)
    layers.append(Layer("the command line", sections, losses or None, writers or None))
    return [*layers, assignments_layer(assignments)]


def _explain(recipe: str, full: str, known: "Registry") -> str:
    kind = "your own images" if recipe == PHOTOS_RECIPE else "generated faces"
    return (
        f"No --recipe: taking '{recipe}' ({known.recipe(recipe).summary}), which is for {kind} on "
        f"every device. --recipe {full} is the full method, for a GPU."
    )


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
    from lmkit.preparation.prepared import make_ready
    from lmkit.runtime.device import choose_device
    from lmkit.training.compiling import refuse_graphs

    device = choose_device(settings.run.device)
    refuse_graphs(settings.run.compile, settings.run.accumulate, device)
    ready, assembly = make_ready(settings)
    sizes = {
        name: sum(p.numel() for p in network.parameters() if p.requires_grad)
        for name, network in assembly.networks()
    }
    split = {part: len(getattr(ready.split, part)) for part in ("train", "fit", "test")}
    alone = {} if ready.partners is None else {"without_partner": ready.partners.alone}
    routes = [str(route) for route in assembly.routes]
    if as_json:
        plan = {"settings": settings.to_dict(), "images": {**split, **alone}, "routes": routes}
        print_json({**plan, "trainable_parameters": sizes, "device": str(device)})
        return
    rows = [(key, as_typed(value)) for key, value in settings.flat().items()]
    rows += [(f"images to {part}", str(count)) for part, count in split.items()]
    rows += [("images to train, without a partner", str(count)) for count in alone.values()]
    rows += [(f"trainable parameters, {name}", f"{size:,}") for name, size in sizes.items() if size]
    rows += [("route", route) for route in routes]
    print_table(("setting", "value"), [*rows, ("device", str(device))])


def _finish(kind: Kind, run: "Run", outcome: "TrainingOutcome", as_json: bool) -> None:
    """Report the end of a run, and end the process as its stop demands."""
    from lmkit.cli.terminal import NOTES

    code = outcome.stop.code if outcome.stop else ExitCode.OK
    if not place().is_first:
        sys.exit(code)
    report: dict[str, Any] = {"run": str(run.path), "step": outcome.step}
    steps = run.settings.run.steps
    finished = outcome.step == steps
    if not finished:
        NOTES.print(
            f"Stopped at step {outcome.step} of {steps} and saved. "
            f"Go on with: lmkit {kind.command} --resume {run.path}",
            markup=False,
        )
    else:
        report["evaluation"] = kind.measure(run)
        NOTES.print(
            f"Finished {count_of(steps, 'step')}. The run is in {run.path}, its sheets in "
            f"{run.folder.sheets}.\nNext: {kind.next(run)}",
            markup=False,
        )
    if as_json:
        print_json(report)
    sys.exit(code)
