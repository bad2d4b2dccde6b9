"""``lmkit bench``: how fast a step or a detection is, beside the same written plainly."""

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
    from lmkit.bench.training import TrainingBench, WayReport


@click.command("bench", short_help="Measure speed beside a plain way of doing the same.")
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
              help="How often each way is timed.")  # fmt: skip
@click.option("--warm-up", type=click.IntRange(0), default=1, show_default=True, metavar="N",
              help="How often each runs before.")  # fmt: skip
@json_option
def command(
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
    """Measure the training step beside the same step written the straightforward way.

    Both ways take their steps in turn, in one process and on the same images. Weights do not
    matter for speed; where a loss would have to download some, say
    --set loss.perceptual.weights=random.
    """
    known = registry()
    from lmkit.cli.terminal import NOTES, CountingProgress
    from lmkit.cli.train_or_pretrain import layers_of
    from lmkit.settings.layers import read_recipe
    from lmkit.settings.settings import settle
    from lmkit.training.session import default_recipe

    if recipe is None and config is None:
        recipe = default_recipe()
        NOTES.print(f"No --recipe: taking '{recipe}'.", markup=False)
    base = [] if recipe is None else read_recipe(recipe, known)
    layers = layers_of(
        known, data=data, losses=losses, config=config, assignments=assignments, flags=flags
    )
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

    ways = (bench.plain, bench.fast)
    rows = [
        ("seconds a step", *(_spread(way) for way in ways)),
        ("images/s", *(f"{way.images_per_second:.1f}" for way in ways)),
        ("GFLOP an image", *(f"{way.gflop_per_image:.4g}" for way in ways)),
        ("TFLOP/s", *(f"{way.tflops:.3g}" for way in ways)),
        ("share of a matrix product's", *(f"{way.share_of_matrix_rate:.0%}" for way in ways)),
        ("peak memory, MiB", *(_mebibytes(way.peak_memory) for way in ways)),
    ]
    rows += [
        (f"{name}, ms", *(f"{1000 * way.parts[name]:.1f}" for way in ways))
        for name in ways[0].parts
    ]
    title = f"{bench.device}, {bench.precision}; fast is {bench.ratio:.2f} times plain"
    print_table(("training step", "plain", "fast"), rows, title)
    click.echo(
        f"Loading a batch: {1000 * bench.loading_seconds:.1f} ms. "
        f"A matrix product: {bench.matrix_tflops:.3g} TFLOP/s."
    )
    click.echo(
        f"With normalisations in eval mode, the losses differ by {bench.agreement.loss:.1e} and "
        f"the gradients by {bench.agreement.gradient:.1e}, relative to the plain way."
    )


def _print_inference(bench: "InferenceBench") -> None:
    from lmkit.cli.terminal import print_table

    rows = [
        ("seconds a batch", *(f"{way.seconds.median:.4g}" for way in (bench.plain, bench.fast))),
        ("images/s", *(f"{way.images_per_second:.1f}" for way in (bench.plain, bench.fast))),
        ("GFLOP an image", *(f"{bench.gflop_per_image:.4g}" for _ in range(2))),
        ("TFLOP/s", *(f"{way.tflops:.3g}" for way in (bench.plain, bench.fast))),
    ]
    click.echo(f"{bench.device}, {bench.precision}: fast is {bench.ratio:.2f} times plain.")
    print_table(("detection", "plain", "fast"), rows)
    click.echo(f"Points differ by {bench.distance:.2g} pixels at most.")


def _spread(way: "WayReport") -> str:
    seconds = way.seconds
    return f"{seconds.median:.4g} ({seconds.low:.4g} to {seconds.high:.4g})"


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.0f}"
