"""``lmkit sweep``: combinations trained under equal settings, and compared."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import (
    assignments_layer,
    count_of,
    data_option,
    device_option,
    json_option,
    registry,
    set_option,
)
from lmkit.errors import ExitCode, LmkitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkit.registry.lookup import Registry
    from lmkit.settings.settings import Settings

_TIMED, _NOT_TIMED = 20, 3
"""Steps of each combination that are timed for --minutes, and those before them that are not."""

VARIED = ("detector", "generator", "deformation", "pairing")


@click.command("sweep", short_help="Train combinations under equal settings and compare them.")
@data_option("Images: faces (generated), a folder, or KIND:PATH of lmkit list dataset.")
@click.option("--detector", metavar="NAME,...", help="Detectors, such as hourglass,timm:resnet18.")
@click.option("--generator", metavar="NAME,...", help="Generators.")
@click.option("--deformation", metavar="NAME,...", help="Deformations.")
@click.option("--pairing", metavar="NAME,...", help="Pairings.")
@click.option("--loss", metavar="NAME+NAME,...", help="Sets of losses, such as mse,mse+perceptual.")
@click.option("--vary", multiple=True, metavar="SECTION.KEY=VALUE,...",
              help="Values of any option; may be given several times.")  # fmt: skip
@click.option("--steps", type=int, metavar="N", help="Steps of each run; schedules go by them.")
@click.option("--minutes", type=float, metavar="M",
              help="As many steps of each as take so long on this machine.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="How often each is trained, each time with another seed.")  # fmt: skip
@click.option("--recipe", metavar="NAME,...",
              help="Settings that all runs share; several: whole methods.")  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE.toml",
              help="Settings on top of the recipe, the same for all.")  # fmt: skip
@set_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("sweep"), show_default=True,
              metavar="DIR", help="Folder of the runs and the comparison.")  # fmt: skip
@device_option
@json_option
def sweep_command(
    data: str | None,
    loss: str | None,
    vary: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    seeds: int,
    recipe: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    device: str | None,
    as_json: bool,
    **parts: str | None,
) -> None:
    """Train every combination of what is given, under otherwise equal settings, and compare them.

    Values have commas between them; several recipes are whole methods side by side. Each
    combination is a run in a folder of its own below --out. The same command goes on where it was
    stopped or killed; what is finished is not repeated. With --minutes, what a step of each takes
    is measured first and written to minutes.json. At the end stands the comparison that lmkit
    compare would make.
    """
    known = registry()
    from lmkit.campaigns.campaign import Campaign
    from lmkit.campaigns.equal_minutes import equal_steps
    from lmkit.campaigns.sweep import Sweep, component_axis, loss_axis, option_axis, recipe_axis
    from lmkit.cli.campaigns import carry_on, tell_stopped
    from lmkit.cli.commands.compare import measure_all, tell
    from lmkit.cli.terminal import NOTES
    from lmkit.settings.layers import Layer, parse_data, read_config_file, read_recipe
    from lmkit.training.session import usual_recipe

    on_top = [] if config is None else read_config_file(config, known)
    base, axes = on_top, []
    if recipe is not None and "," in recipe:
        base, axes = [], [recipe_axis(recipe, on_top, known)]
    axes += [component_axis(part, names) for part in VARIED if (names := parts[part]) is not None]
    axes += [loss_axis(loss)] if loss is not None else []
    axes += [option_axis(each) for each in vary]
    run: dict[str, Any] = {"steps": steps, "device": device}
    sections: dict[str, Any] = {"run": {key: value for key, value in run.items() if value}}
    if data is not None:
        sections["data"] = parse_data(data, known)
    above = [Layer("the command line", sections), assignments_layer(assignments)]
    if recipe is None and config is None:
        recipe = usual_recipe(above)
        NOTES.print(f"No --recipe: all runs start from '{recipe}'.", markup=False)
    if recipe is not None and "," not in recipe:
        base = [*read_recipe(recipe, known), *on_top]
    sweep = Sweep(base, axes, above, known)
    runs = sweep.entries(seeds=seeds)
    if minutes is not None:
        if any("steps" in layer.values.get("run", {}) for layer in above):
            raise LmkitError(
                "--minutes decides the number of steps, and that is given too.",
                remedy="Leave out --minutes, or --steps and --set run.steps.",
            )
        steps_of = equal_steps(sweep.combinations(), minutes, out, _seconds_a_step(known))
        runs = sweep.entries(seeds=seeds, steps=steps_of)
    campaign = Campaign(out, runs, [], known)
    campaign.check()
    names = ", ".join(each.name for each in runs)
    NOTES.print(f"{count_of(len(runs), 'run')}: {names}.", markup=False)
    stop = carry_on(campaign)
    if stop:
        tell_stopped()
        sys.exit(stop.code)
    tell(measure_all([out / each.name for each in runs], device=device), out, as_json=as_json)
    sys.exit(ExitCode.OK)


def _seconds_a_step(registry: "Registry") -> "Callable[[str, Settings], float]":
    """Return what measures a step as it will be taken, with the images read beside it."""
    from lmkit.bench.training import measure_training
    from lmkit.cli.terminal import NOTES, CountingProgress

    def measure(name: str, settings: "Settings") -> float:
        with CountingProgress(f"timing {name}") as progress:
            found = measure_training(
                settings, registry, rounds=_TIMED, warm_up=_NOT_TIMED, progress=progress
            )
        seconds = found.seconds_in_a_run
        NOTES.print(f"{name}: {1000 * seconds:.0f} ms a step.", markup=False)
        return seconds

    return measure
