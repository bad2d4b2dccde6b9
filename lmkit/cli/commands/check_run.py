"""``lmkit check-run``: whether a run folder is whole, and what of it can still be used."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmkit.cli.options import RUN_PATH, json_option, print_json, registry
from lmkit.errors import ExitCode

if TYPE_CHECKING:
    from lmkit.run.check import RunCheck

COLOURS = {"sound": "green", "damaged": "red"}


@click.command("check-run", short_help="Check whether a run folder is whole, and what can be used.")
@click.argument("run", type=RUN_PATH)
@json_option
def check_run_command(run: Path, as_json: bool) -> None:
    """Check every file of a RUN, and say what can be done with it.

    Reads the whole folder and writes nothing; needs neither the data nor a network. Exits with 0 if
    nothing is damaged, also of a copy that only predicts, and with 5 if a file is that decides
    anything, whether or not another checkpoint can be used.

    Example: lmkit check-run runs/first
    """
    from lmkit.run.check import check_run

    report = check_run(run, registry())
    if as_json:
        print_json(report.to_dict())
    else:
        print_check(report)
    sys.exit(ExitCode.OK if report.sound else ExitCode.RUN)


def print_check(report: "RunCheck") -> None:
    """Print a line for each file, and what can be done with the run."""
    for each in report.files:
        click.secho(f"{each.state:<9}", fg=COLOURS.get(each.state), nl=False)
        reason = f": {each.problem}" if each.problem else ""
        click.echo(f"{each.file}{reason}{'' if each.decides else ' (decides nothing)'}")
    click.echo("")
    click.echo(f"predict  {report.predict or 'no'}")
    click.echo(f"resume   {report.resume or 'no'}")
    for text in report.notes:
        click.echo(text)
