"""Campaigns on the command line: several runs trained and measured, told of, and reported."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import print_json, refuse_company, registry
from lmkit.errors import ExitCode

if TYPE_CHECKING:
    from lmkit.campaigns.campaign import Campaign, CampaignResult
    from lmkit.runtime.signals import Stop
    from lmkit.settings.layers import Layer


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """What is known of a campaign so far; written as ``NAME.json`` and ``NAME.md``.

    Args:
        name: NAME.
        content: Its JSON form.
        text: The same for people to read, in Markdown.
    """

    name: str
    content: Mapping[str, Any]
    text: str


def run_campaign(
    out: Path,
    runs: Mapping[str, Sequence["Layer"]],
    benchmarks: Mapping[str, "Layer | None"],
    report: Callable[[Callable[[str], "CampaignResult | None"]], CampaignReport],
    *,
    as_json: bool = False,
) -> int:
    """Train and measure several runs one after the other, and print a report of them.

    Everything that could stop a run later is checked before the first one starts. Progress goes to
    stderr. What is there already is never repeated: the same call goes on where a former one was
    stopped or killed. The report is written below ``out`` after each run.

    Args:
        out: The folder; each run is a run folder in it.
        runs: The settings of each run, by the name of its folder, in the order of training.
        benchmarks: The data that every run is measured on, by name: settings on top of the run's,
            or None for the run's own held-out images. May be empty.
        report: Makes the report. It is called after each run, and given a function that returns
            what is known of a run by its name, or None if that is not trained and measured to
            the end. That also knows runs of former calls.
        as_json: Whether the report is printed as JSON, and not as Markdown.

    Returns:
        The exit code to end the command with: not 0 if a signal stopped it. What was done until
        then is saved.

    Raises:
        LmkitError: If settings are wrong, a folder holds another run, or a run cannot start, go on
            or be measured.
    """
    context = click.get_current_context(silent=True)
    refuse_company((context and context.info_name) or "campaign")
    known = registry()
    from lmkit.campaigns.campaign import Benchmark, Campaign, CampaignEntry
    from lmkit.cli.terminal import NOTES
    from lmkit.settings.settings import settle

    entries = [CampaignEntry(name, settle(layers, known)) for name, layers in runs.items()]
    measured_on = [Benchmark(name, data) for name, data in benchmarks.items()]
    campaign = Campaign(out, entries, measured_on, known)
    campaign.check()

    def write() -> tuple[CampaignReport, list[Path]]:
        made = report(campaign.read)
        return made, _write(made, out)

    stop = carry_on(campaign, write)
    made, files = write()
    if as_json:
        print_json(made.content)
    else:
        click.echo(made.text, nl=False)
    NOTES.print(f"Written: {', '.join(map(str, files))}", markup=False)
    if stop:
        tell_stopped()
    return stop.code if stop else ExitCode.OK


def carry_on(campaign: "Campaign", write: Callable[[], object] = lambda: None) -> "Stop":
    """Train and measure whatever is not there yet, and tell of it on stderr.

    Args:
        campaign: The runs.
        write: Called after each run: writes what is known so far.

    Returns:
        Whether a signal stopped it, and which.
    """
    from lmkit.campaigns.campaign import Benchmark, CampaignCallback, CampaignEntry
    from lmkit.cli.terminal import NOTES, CountingProgress, TrainingProgress
    from lmkit.runtime.callback import Callback

    class Told(CampaignCallback):
        def began(self, entry: CampaignEntry, number: int, count: int, path: Path) -> None:
            NOTES.print(f"Run {number} of {count}: {path}", markup=False)

        def training(self, entry: CampaignEntry) -> AbstractContextManager[Callback]:
            return TrainingProgress()

        def measuring(
            self, entry: CampaignEntry, benchmark: Benchmark
        ) -> AbstractContextManager[Callable[[int, int], None]]:
            return CountingProgress(f"measuring {entry.name} on {benchmark.name}")

        def finished(self, entry: CampaignEntry) -> None:
            write()

    return campaign.run(Told())


def tell_stopped() -> None:
    """Say on stderr that a campaign was stopped, and how to go on."""
    from lmkit.cli.terminal import NOTES

    NOTES.print(
        "Stopped and saved. The same command goes on; finished runs are not repeated.",
        markup=False,
    )


def _write(report: CampaignReport, folder: Path) -> list[Path]:
    from lmkit.storage import write_json, write_text

    text, content = (folder / f"{report.name}.{suffix}" for suffix in ("md", "json"))
    write_json(content, report.content)
    write_text(text, report.text)
    return [text, content]
