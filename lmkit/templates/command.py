"""A command of one's own: ``lmkit my-part RUN IMAGE ...``."""

from pathlib import Path

import click
import numpy as np

import lmkit


@click.command("my-part")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(run: Path, images: tuple[Path, ...]) -> None:
    """Print how far each landmark moves from image to image, in pixels."""
    points = lmkit.open_run(run).predict(list(images))
    spread = np.linalg.norm(points - points.mean(axis=0), axis=2).mean(axis=0)
    for number, pixels in enumerate(spread):
        click.echo(f"{number} {pixels:.1f}")
