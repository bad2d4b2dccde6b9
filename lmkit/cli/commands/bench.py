"""``lmkit bench``: what a training step or a detection costs here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import (
    data_option,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)

if TYPE_CHECKING:
    from lmkit.bench.inference import InferenceBench
    from lmkit.bench.stopwatch import Times
    from lmkit.bench.training import TrainingBench


@click.command("bench", short_help="Measure the speed and cost of a training step or a detection.")
@click.option("--recipe", metavar="NAME", help="Named settings: lmkit list recipe.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE.toml",
              help="Settings on top of the recipe.")  # fmt: skip
@data_option("Images: faces (generated), a folder, or KIND:PATH of lmkit list dataset.")
@click.option("--detector", metavar="NAME", help="Finds landmarks.")
@click.option("--generator", metavar="NAME", help="Redraws images; 'none' for methods without.")
@click.option("--deformation", metavar="NAME", help="Makes the two views of an image.")
@click.option("--pairing", metavar="NAME", help="Asks for reconstructions.")
@click.option("--loss", "losses", metavar="NAME", multiple=True,
              help="One or more, instead of the recipe's.")  # fmt: skip
@click.option("--landmarks", type=int, metavar="K", help="Number of landmarks.")
@click.option("--image-size", type=int, metavar="N", help="Side of the images.")
@click.option("--batch-size", type=int, metavar="N", help="Images a step.")
@device_option
@set_option
@click.option(
    "--predict", is_flag=True, help="Measure the detector alone, as lmkit predict uses it."
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="How many steps or batches are timed.")  # fmt: skip
@click.option("--warm-up", type=click.IntRange(0), default=1, show_default=True, metavar="N",
              help="How many are taken before.")  # fmt: skip
@json_option
def bench_command(
    recipe: str | None,
    config: Path | None,
    data: str | None,
    losses: tuple[str, ...],
    assignments: tuple[str, ...],
    predict: bool,
    rounds: int,
    warm_up: int,
    as_json: bool,
    **flags: Any,
) -> None:
    """Measure the training step of any combination: images a second, operations, memory, parts.

    The step is the one that lmkit train takes. Weights do not matter for speed; where a loss would
    have to download some, say --set loss.perceptual.weights=random.
    """
    known = registry()
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.cli.train_or_pretrain import layers_of
    from lmkit.settings.layers import read_recipe
    from lmkit.settings.settings import settle
    from lmkit.training.session import usual_recipe

    layers = layers_of(
        known, data=data, losses=losses, config=config, assignments=assignments, flags=flags
    )
    if recipe is None and config is None:
        recipe = usual_recipe(layers)
        NOTES.print(f"No --recipe: taking '{recipe}'.", markup=False)
    base = [] if recipe is None else read_recipe(recipe, known)
    settings = settle([*base, *layers], known)
    with CountingProgress("measuring") as progress:
        if predict:
            from lmkit.bench.inference import measure_inference

            found = measure_inference(
                settings, known, rounds=rounds, warm_up=warm_up, progress=progress
            )
            print_json(found.to_dict()) if as_json else _print_inference(found)
            return
        from lmkit.bench.training import measure_training

        bench = measure_training(settings, known, rounds=rounds, warm_up=warm_up, progress=progress)
    print_json(bench.to_dict()) if as_json else _print_training(bench)


def _print_training(bench: "TrainingBench") -> None:
    from lmkit.cli.terminal import print_table

    step = bench.step
    memory = "-" if step.peak_memory is None else f"{step.peak_memory / 2**20:.0f}"
    rows = [
        ("seconds a step", _spread(step.seconds)),
        ("images/s", f"{step.images_per_second:.1f}"),
        ("GFLOP an image", f"{step.gflop_per_image:.4g}"),
        ("TFLOP/s", f"{step.tflops:.3g}"),
        ("share of a matrix product's", f"{step.share_of_matrix_rate:.0%}"),
        ("peak memory, MiB", memory),
        *((f"{name}, ms", f"{1000 * seconds:.1f}") for name, seconds in step.parts.items()),
    ]
    print_table(("training step", "here"), rows, f"{bench.device}, {bench.precision}")
    click.echo(
        f"Loading a batch: {1000 * bench.loading_seconds:.1f} ms. "
        f"A matrix product in {bench.matrix_precision}: {bench.matrix_tflops:.3g} TFLOP/s."
    )


def _print_inference(bench: "InferenceBench") -> None:
    from lmkit.cli.terminal import print_table

    found = bench.detection
    rows = [
        ("seconds a batch", _spread(found.seconds)),
        ("images/s", f"{found.images_per_second:.1f}"),
        ("GFLOP an image", f"{found.gflop_per_image:.4g}"),
        ("TFLOP/s", f"{found.tflops:.3g}"),
        ("share of a matrix product's", f"{found.share_of_matrix_rate:.0%}"),
    ]
    print_table(("detection", "here"), rows, f"{bench.device}, {bench.precision}")
    click.echo(f"A matrix product in {bench.matrix_precision}: {bench.matrix_tflops:.3g} TFLOP/s.")


def _spread(seconds: "Times") -> str:
    return f"{seconds.median:.4g} ({seconds.low:.4g} to {seconds.high:.4g})"
