"""``lmkit reproduce``: the rows of a table of the paper, trained, measured and set beside it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import (
    assignments_layer,
    data_option,
    device_option,
    json_option,
    print_json,
    registry,
    set_option,
)
from lmkit.errors import ExitCode, LmkitError

if TYPE_CHECKING:
    from lmkit.campaigns.campaign import Benchmark
    from lmkit.registry.lookup import Registry

TABLES = ("table1", "table2", "table3")


@click.command("reproduce", short_help="Train and measure the rows of a table of the paper.")
@click.argument("table", type=click.Choice(TABLES))
@click.option("--celeba", type=click.Path(path_type=Path), metavar="DIR",
              help="CelebA with the lists of MAFL: trains, and is measured on.")  # fmt: skip
@click.option("--aflw", type=click.Path(path_type=Path), metavar="DIR",
              help="AFLW, to be measured on too.")  # fmt: skip
@data_option("Any annotated data instead of --celeba, for the same rows scaled down.")
@click.option("--core", type=click.Path(path_type=Path), metavar="FILE|RUN",
              help="Pretrained detector that all rows start from by projection.")  # fmt: skip
@click.option("--rows", metavar="NAME,...", help="Some of the rows; all if not given.")
@click.option("--steps", type=click.IntRange(1), metavar="N",
              help="Steps of each run, the schedule shortened with them.")  # fmt: skip
@click.option("--recipe", metavar="NAME",
              help="What the rows are put on: 'paper' with a GPU or with --celeba, else "
              "'quickstart'.")  # fmt: skip
@set_option
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="How often each row is trained, each time with another seed.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("reproduce"),
              show_default=True, metavar="DIR", help="Folder of the runs and tables.")  # fmt: skip
@device_option
@json_option
def command(
    table: str,
    celeba: Path | None,
    aflw: Path | None,
    data: str | None,
    core: Path | None,
    rows: str | None,
    steps: int | None,
    recipe: str | None,
    assignments: tuple[str, ...],
    seeds: int,
    out: Path,
    device: str | None,
    as_json: bool,
) -> None:
    """Train and measure the rows of TABLE, and set the paper's figures beside ours.

    Each row is a run in a folder of its own below --out. The same command goes on where it was
    stopped or killed: what is finished is not repeated, and rows that tables share are trained
    once. TABLE.md and TABLE.json are written after each row, with every deviation from the paper.
    """
    known = registry()
    from lmkit.campaigns.campaign import Campaign
    from lmkit.cli.campaign_progress import telling
    from lmkit.cli.terminal import NOTES
    from lmkit.reproduction import rows as settings_of
    from lmkit.reproduction import table as tables
    from lmkit.reproduction.published import TABLES as PUBLISHED
    from lmkit.training.session import default_recipe

    chosen = PUBLISHED[table]
    if aflw is not None and celeba is not None and "AFLW" not in chosen.data:
        NOTES.print(f"{table} has no column for AFLW: --aflw is not used.", markup=False)
        aflw = None
    section, benchmarks = _choose_data(celeba, aflw, data, known)
    if recipe is None:
        recipe = "paper" if celeba is not None else default_recipe()
        NOTES.print(f"No --recipe: the rows are put on '{recipe}'.", markup=False)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    asked = settings_of.choose_rows(chosen, names)
    request = settings_of.Request(
        recipe=recipe,
        data=section,
        steps=steps,
        core=core,
        seeds=seeds,
        assignments=assignments_layer(assignments) if assignments else None,
        device=device,
    )
    entries = settings_of.entries(asked, request, known)
    campaign = Campaign(out, entries, benchmarks, known)
    campaign.check()
    of_seeds = sorted({entry.settings.run.seed for entry in entries})

    def write() -> tuple[dict[str, Any], list[Path]]:
        results = tables.collect(chosen, asked, of_seeds, campaign)
        content = tables.build(chosen, results, benchmarks, known)
        return content, tables.write(content, out)

    stop = campaign.run(telling(write))
    content, files = write()
    if as_json:
        print_json(content)
    else:
        click.echo(tables.markdown(content), nl=False)
    NOTES.print(f"Written: {', '.join(map(str, files))}", markup=False)
    if stop:
        NOTES.print(
            "Stopped and saved. The same command goes on; finished runs are not repeated.",
            markup=False,
        )
    sys.exit(stop.code if stop else ExitCode.OK)


def _choose_data(
    celeba: Path | None, aflw: Path | None, data: str | None, known: "Registry"
) -> tuple[dict[str, Any], "list[Benchmark]"]:
    """Return the ``data`` section to train on, and what to measure on."""
    from lmkit.campaigns.campaign import Benchmark
    from lmkit.settings.layers import Layer, parse_data

    if (celeba is None) == (data is None):
        raise LmkitError(
            "Both --celeba and --data are given." if celeba else "There is no data to train on.",
            remedy="Give --celeba DIR (and --aflw DIR) for the paper's data, or --data SPEC, for "
            "example --data faces, for the same rows on other data.",
        )
    if data is not None:
        if aflw is not None:
            raise LmkitError(
                f"--aflw {aflw} goes with --celeba, and not with --data {data}.",
                remedy="Leave --aflw out; other data is measured on its own held-out images.",
            )
        section = parse_data(data, known)
        return section, [Benchmark(_short(str(section["name"])))]
    assert celeba is not None
    _need_folder("--celeba", celeba)
    _need_mafl(celeba)
    benchmarks = [Benchmark("MAFL")]
    if aflw is not None:
        _need_folder("--aflw", aflw)
        benchmarks.append(
            Benchmark("AFLW", Layer("--aflw", {"data": parse_data(f"aflw:{aflw}", known)}))
        )
    return parse_data(f"celeba:{celeba}", known), benchmarks


def _short(name: str) -> str:
    """Return a dataset's name without its argument and without its plugin."""
    return name.partition(":")[0].rpartition("/")[2]


def _need_folder(option: str, path: Path) -> None:
    if not path.is_dir():
        raise LmkitError(
            f"{option} {path} is not a folder.",
            remedy="Give the folder that the data was unpacked into; lmkit downloads none.",
            code=ExitCode.DATA,
        )


def _need_mafl(path: Path) -> None:
    from lmkit.data.sets.celeba import has_mafl

    if not has_mafl(path):
        raise LmkitError(
            f"--celeba {path} has no MAFL/training.txt and MAFL/testing.txt, so that nothing could "
            "be measured on MAFL.",
            remedy="Put the lists of MAFL there, or give --data celeba:DIR for CelebA's own parts.",
            code=ExitCode.DATA,
        )
