"""``lmkit reproduce``: the rows of a table of the paper, trained, measured and set beside it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.api import ExitCode, LmkitError
from lmkit_interintra.tables.published import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkit.api import CampaignResult, Layer

LISTS = ("MAFL/training.txt", "MAFL/testing.txt")
"""The lists of the images that fit and that test on MAFL."""

FOLDERS = (".", "Img", "Anno", "Eval")
"""Where below CelebA's folder they may lie, as for the dataset ``celeba``."""


@click.command("reproduce", short_help="Train and measure the rows of a table of Li et al. 2020.")
@click.argument("table", type=click.Choice(tuple(TABLES)))
@click.option("--celeba", type=click.Path(path_type=Path), metavar="DIR",
              help="CelebA with the lists of MAFL: trains, and is measured on.")  # fmt: skip
@click.option("--aflw", type=click.Path(path_type=Path), metavar="DIR",
              help="AFLW, to be measured on too.")  # fmt: skip
@click.option("--data", metavar="SPEC",
              help="Any annotated data instead of --celeba, for the same rows scaled down."
              )  # fmt: skip
@click.option("--core", type=click.Path(path_type=Path), metavar="FILE|RUN",
              help="Pretrained detector that all rows start from by projection.")  # fmt: skip
@click.option("--rows", metavar="NAME,...", help="Some of the rows; all if not given.")
@click.option("--steps", type=click.IntRange(1), metavar="N",
              help="Steps of each run, the schedule shortened with them.")  # fmt: skip
@click.option("--recipe", metavar="NAME",
              help="What the rows are put on: 'paper' with a GPU or with --celeba, else "
              "'reconstruction-quick'.")  # fmt: skip
@click.option("--set", "assignments", metavar="SECTION.KEY=VALUE", multiple=True,
              help="Set any option; may be given several times.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="How often each row is trained, each time with another seed.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("reproduce"),
              show_default=True, metavar="DIR", help="Folder of the runs and tables.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, alone on stdout.")
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
    """Train and measure the rows of TABLE of Li et al. 2020, beside the published figures.

    Each row is a run in a folder of its own below --out. The same command goes on where it was
    stopped or killed: what is finished is not repeated, and rows that tables share are trained
    once. TABLE.md and TABLE.json are written after each row, with every deviation from the paper.
    """
    from lmkit.api import CampaignReport, default_recipe, read_assignments, run_campaign
    from lmkit_interintra.tables import rows as settings_of
    from lmkit_interintra.tables import table as tables

    chosen = TABLES[table]
    if aflw is not None and celeba is not None and "AFLW" not in chosen.data:
        click.echo(f"{table} has no column for AFLW: --aflw is not used.", err=True)
        aflw = None
    section, benchmarks = _choose_data(celeba, aflw, data)
    if recipe is None:
        recipe = "paper" if celeba is not None else default_recipe("paper", "reconstruction-quick")
        click.echo(f"No --recipe: the rows are put on '{recipe}'.", err=True)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    asked = settings_of.choose_rows(chosen, names)
    request = settings_of.Request(
        recipe=recipe,
        data=section,
        steps=steps,
        core=core,
        seeds=seeds,
        assignments=read_assignments(assignments) if assignments else None,
        device=device,
    )
    runs = settings_of.runs_of(asked, request)
    of_seeds = settings_of.seeds_of(request)

    def report(read: "Callable[[str], CampaignResult | None]") -> CampaignReport:
        results = tables.collect(chosen, asked, of_seeds, read)
        content = tables.build(chosen, results, list(benchmarks))
        return CampaignReport(table, content, tables.markdown(content))

    sys.exit(run_campaign(out, runs, benchmarks, report, as_json=as_json))


def _choose_data(
    celeba: Path | None, aflw: Path | None, data: str | None
) -> "tuple[dict[str, Any], dict[str, Layer | None]]":
    """Return the ``data`` section to train on, and what to measure on."""
    from lmkit.api import Layer, data_section

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
        section = data_section(data)
        return section, {_short(str(section["name"])): None}
    assert celeba is not None
    _need_folder("--celeba", celeba)
    _need_mafl(celeba)
    benchmarks: dict[str, Layer | None] = {"MAFL": None}
    if aflw is not None:
        _need_folder("--aflw", aflw)
        benchmarks["AFLW"] = Layer("--aflw", {"data": data_section(f"aflw:{aflw}")})
    return data_section(f"celeba:{celeba}"), benchmarks


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
    if not all(any((path / folder / name).is_file() for folder in FOLDERS) for name in LISTS):
        raise LmkitError(
            f"--celeba {path} has no {' and '.join(LISTS)}, so that nothing could "
            "be measured on MAFL.",
            remedy="Put the lists of MAFL there, or give --data celeba:DIR for CelebA's own parts.",
            code=ExitCode.DATA,
        )
