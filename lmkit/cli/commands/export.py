"""``lmkit export``: a run's detector as one graph in one file."""

from pathlib import Path

import click

from lmkit.cli.options import RUN_PATH, json_option, open_given_run, print_json, registry


@click.command("export", short_help="Write a detector as one ONNX or torch.export file.")
@click.argument("run", type=RUN_PATH)
@click.option("--format", "form", type=click.Choice(["onnx", "pt2"]),
              help="Of the file; what --out ends in, or onnx, if not given.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="The file; detector.onnx or detector.pt2 in the run if not given.")  # fmt: skip
@click.option("--points", "named", type=click.Path(path_type=Path), metavar="DIR",
              help="Named points in the graph too: the folder that lmkit fit wrote.")  # fmt: skip
@json_option
def export_command(
    run: Path, form: str | None, out: Path | None, named: Path | None, as_json: bool
) -> None:
    """Write the detector of RUN as one graph, to be run without lmkit.

    It takes images (B, 3, S, S) of uint8, of any batch B, S the run's image size, and returns
    points in pixels of those, and in [-1, 1]; confidence and covariance where the detector has
    probability maps; and named points with --points. Before the file is put in its place it is run
    at two batch sizes, and its points are compared with the detector's.

    ONNX needs pip install 'lmkit[export]'. lmkit predict takes the file as RUN.
    """
    registry()
    opened = open_given_run(run, "cpu")
    suffix = "" if out is None else out.suffix[1:].lower()
    chosen = form or (suffix if suffix in ("onnx", "pt2") else "onnx")
    exported = opened.export(out, form=chosen, points=named)
    if as_json:
        print_json(exported.to_dict())
        return
    megabytes = exported.file.stat().st_size / 1e6
    click.echo(f"Written to {exported.file}: {megabytes:.1f} MB")
    click.echo(f"Returns {', '.join(exported.description.outputs)}.")
    click.echo(f"Its points are within {exported.apart:.1g} pixels of the detector's.")
    click.echo(f"Next: lmkit predict {exported.file} IMAGES --out DIR")
