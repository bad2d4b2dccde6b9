"""Several runs, trained and measured one after the other, that can be stopped anywhere.

A campaign is a list of runs by name, each with all its settings, and a list of data they are
measured on. Every run is a run folder below one folder. What is there already is never repeated: a
run that is trained is only measured, one that is measured is only read, and one that was
interrupted goes on from its checkpoint. There is no other record than the run folders themselves.
"""

import json
import shutil
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmkit.data.split import keys_of_parts
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.protocol import evaluate
from lmkit.evaluation.report import EVALUATION
from lmkit.preparation.of_run import other_data, own_data
from lmkit.preparation.prepared import Prepared, make_ready, prepare
from lmkit.records import describe_file, describes_file, differs, load_record, write_record
from lmkit.registry.lookup import Registry
from lmkit.run.checkpoint import newest_step
from lmkit.run.folder import RunFolder
from lmkit.run.owner import LOCK, OWNER
from lmkit.run.record import read_split
from lmkit.run.run import Run
from lmkit.runtime.assemble import assemble
from lmkit.runtime.callback import Callback
from lmkit.runtime.signals import Stop, stop_on_signals
from lmkit.settings.changes import refuse_changes
from lmkit.settings.layers import Layer, merge
from lmkit.settings.settings import Settings, resolve
from lmkit.training.session import resume, start


@dataclass(frozen=True, slots=True)
class CampaignEntry:
    """One run of a campaign.

    Args:
        name: Of its folder; no other entry has it.
        settings: Everything that decides it.
    """

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Data that every run of a campaign is measured on.

    Args:
        name: What it is called, also in file names.
        data: Settings of the data; None for the run's own, its held-out part.
    """

    name: str
    data: Layer | None = None


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A run of a campaign, read from its folder.

    Args:
        name: The entry's.
        settings: The run's, as ``run.json`` holds them.
        train_images: The images it was trained on.
        reports: What was measured, by benchmark, as ``evaluation.json`` holds it.
    """

    name: str
    settings: dict[str, Any]
    train_images: int
    reports: dict[str, dict[str, Any]]


class CampaignCallback:
    """Hears how a campaign goes; every method does nothing unless overridden."""

    def began(self, entry: CampaignEntry, number: int, count: int, path: Path) -> None:
        """A run is next, the ``number``-th of ``count``; told of finished ones too."""

    def training(self, entry: CampaignEntry) -> AbstractContextManager[Callback]:
        """Return who hears of one run's training, for as long as it lasts."""
        return nullcontext(Callback())

    def measuring(
        self, entry: CampaignEntry, benchmark: Benchmark
    ) -> AbstractContextManager[ProgressCallback]:
        """Return what is told how many images of how many are measured."""
        return nullcontext(lambda done, total: None)

    def finished(self, entry: CampaignEntry) -> None:
        """A run is trained and measured, now or before."""


class Campaign:
    """Runs below one folder.

    Args:
        out: The folder.
        entries: The runs, in order.
        benchmarks: What each is measured on.
        registry: Where components are looked up.
    """

    def __init__(
        self,
        out: Path,
        entries: Sequence[CampaignEntry],
        benchmarks: Sequence[Benchmark],
        registry: Registry,
    ) -> None:
        self.out = out
        self.entries = entries
        self.benchmarks = benchmarks
        self.registry = registry

    def check(self) -> None:
        """Find out what would stop the campaign later, before hours are spent; write nothing.

        Raises:
            LmkitError: If a folder holds a run with other settings, a run that is to start could
                not, or data that is to be measured on cannot be opened.
        """
        opened: set[str] = set()
        waiting = [entry for entry in self.entries if self.read(entry.name) is None]
        for entry in self.entries:
            folder = RunFolder(self.out / entry.name)
            if folder.settings.is_file():
                _refuse_other_settings(Run(folder, self.registry), entry)
            elif folder.path.exists() and not _is_leftover(folder):
                raise LmkitError(
                    f"{folder.path} is not empty and holds no run.",
                    remedy="Move it away, or give another folder with --out.",
                    code=ExitCode.RUN,
                )
            elif _data_of(entry.settings) in opened:
                # Large data takes a while to open, and most campaigns have one for all entries.
                assemble(entry.settings, self.registry)
            else:
                make_ready(entry.settings, self.registry)
                opened.add(_data_of(entry.settings))
        for benchmark in self.benchmarks if waiting else ():
            _check_annotated(benchmark, waiting[0].settings, self.registry)

    def run(self, callback: CampaignCallback) -> Stop:
        """Train and measure whatever is not there yet.

        Returns:
            Whether a signal stopped it, and which. What was done so far is saved.

        Raises:
            LmkitError: If a run cannot start, go on or be measured.
        """
        with stop_on_signals() as stop:
            for number, entry in enumerate(self.entries, start=1):
                if stop:
                    break
                callback.began(entry, number, len(self.entries), self.out / entry.name)
                try:
                    if not self._train(entry, callback, stop):
                        break
                    self._measure(entry, callback, stop)
                except _InterruptedError:
                    break
                callback.finished(entry)
        return stop

    def read(self, name: str) -> CampaignResult | None:
        """Return what is known of a run; None if it is not trained and measured to the end."""
        folder = RunFolder(self.out / name)
        if not folder.settings.is_file():
            return None
        run = Run(folder, self.registry)
        if run.step < run.settings.run.steps:
            return None
        reports = {}
        for benchmark in self.benchmarks:
            report = _read_report(run, benchmark, self.registry)
            if report is None:
                return None
            reports[benchmark.name] = report
        train, _, _ = keys_of_parts(read_split(folder))
        return CampaignResult(name, run.stored, len(train), reports)

    def _train(self, entry: CampaignEntry, callback: CampaignCallback, stop: Stop) -> bool:
        """Train a run to its end, and return whether it got there; a signal may come before."""
        folder = RunFolder(self.out / entry.name)
        exists = folder.settings.is_file()
        if exists:
            _refuse_other_settings(Run(folder, self.registry), entry)
            if newest_step(folder) >= entry.settings.run.steps:
                return True
        else:
            _remove_leftover(folder)
        with callback.training(entry) as hears:
            everyone = [hears, _PassOn(stop)]
            if exists:
                layers = [Layer("the campaign", entry.settings.to_dict())]
                _, outcome = resume(folder.path, layers, everyone, self.registry)
            else:
                _, outcome = start(entry.settings, folder.path, everyone, self.registry)
        if outcome.stop:
            stop.signal = outcome.stop.signal
        return outcome.step >= entry.settings.run.steps

    def _measure(self, entry: CampaignEntry, callback: CampaignCallback, stop: Stop) -> None:
        folder = RunFolder(self.out / entry.name)
        run = Run(folder, self.registry, device=entry.settings.run.device)
        for benchmark in self.benchmarks:
            if stop:
                raise _InterruptedError
            if _read_report(run, benchmark, self.registry) is not None:
                continue
            ready = _open(run, benchmark)
            with callback.measuring(entry, benchmark) as told:

                def progress(done: int, total: int, told: ProgressCallback = told) -> None:
                    told(done, total)
                    if stop:
                        raise _InterruptedError

                report = evaluate(run, ready, data=benchmark.name, progress=progress)
            place = _place(run, benchmark)
            report.write(place)
            # Last, since it is what makes the measurement complete.
            described = _describe(run, benchmark, self.registry)
            described["report"] = describe_file(place / EVALUATION)
            write_record(place / _MEASURED, described)


_MEASURED = "measured.json"
"""Beside an evaluation: the data and the step it belongs to."""


class _InterruptedError(Exception):
    """A signal came where nothing needs to be saved."""


class _PassOn(Callback):
    """Passes a signal that came before a training, while its data was opened, on to it."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def progressed(self, step: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        if self._stop.signal is not None:
            signal.raise_signal(self._stop.signal)


def _refuse_other_settings(run: Run, entry: CampaignEntry) -> None:
    refuse_changes(
        run.full_settings,
        entry.settings,
        run.path,
        also=("run.steps",),
        remedy="Ask for the same settings again, or give another folder with --out.",
    )


def _data_of(settings: Settings) -> str:
    everything = settings.to_dict()
    return json.dumps([everything["data"], everything["loading"], settings.run.image_size])


def _check_annotated(benchmark: Benchmark, settings: Settings, registry: Registry) -> None:
    layers = [Layer("the run", settings.to_dict(), source="run"), *filter(None, [benchmark.data])]
    ready = prepare(resolve(merge(layers), registry), registry)
    if not (ready.dataset.point_names and ready.split.fit and ready.split.test):
        raise LmkitError(
            f"{benchmark.name} cannot be measured on: it has no annotated points, or holds out no "
            "images to test with.",
            remedy="Give data with points, such as faces, csv:FILE or celeba:DIR.",
            code=ExitCode.DATA,
        )


def _open(run: Run, benchmark: Benchmark) -> Prepared:
    return own_data(run) if benchmark.data is None else other_data(run, [benchmark.data])


def _place(run: Run, benchmark: Benchmark) -> Path:
    return run.path / "evaluation" / benchmark.name.lower()


def _describe(run: Run, benchmark: Benchmark, registry: Registry) -> dict[str, Any]:
    """Return what decides a measurement; one that was decided otherwise does not count."""
    stored = Layer("run.json", run.stored, source="run")
    layers = [stored, *filter(None, [benchmark.data])]
    settings = resolve(merge(layers), registry).to_dict()
    return {"step": run.step, "data": settings["data"], "loading": settings["loading"]}


def _read_report(run: Run, benchmark: Benchmark, registry: Registry) -> dict[str, Any] | None:
    """Return a report that is what was measured; None where it has to be measured again."""
    place = _place(run, benchmark)
    try:
        measured = load_record(place / _MEASURED)
        described = measured.pop("report", None)
        if measured != _describe(run, benchmark, registry):
            return None
        # A measurement of a former version does not say what its report holds.
        if described is not None and (
            not describes_file(described) or differs(place / EVALUATION, described)
        ):
            return None
        return load_record(place / EVALUATION)
    except (OSError, ValueError):
        return None


def _is_leftover(folder: RunFolder) -> bool:
    """Tell whether a folder holds no more than a run that was killed as it was made."""
    harmless = {folder.split.name, folder.unreadable.name}
    for path in folder.path.iterdir():
        empty = path in (folder.checkpoints, folder.sheets) and not any(path.iterdir())
        if not empty and path.name.removeprefix(".").removesuffix(".partial") not in (
            *harmless,
            folder.settings.name,
            *(name.removeprefix(".") for name in (LOCK, OWNER)),
        ):
            return False
    return True


def _remove_leftover(folder: RunFolder) -> None:
    if folder.path.is_dir() and _is_leftover(folder):
        shutil.rmtree(folder.path)
