"""Runs side by side: what differs in their settings, and whether their errors differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from lmkit.comparison.cost import Cost, measure_cost
from lmkit.comparison.shared import share_images
from lmkit.comparison.significance import Difference, Seeds
from lmkit.data.split import Split
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.protocol import QUICK, Protocol, evaluate
from lmkit.evaluation.report import EvaluationReport
from lmkit.interfaces.dataset import Dataset
from lmkit.preparation.prepared import Prepared
from lmkit.run.run import Run, open_run
from lmkit.settings.changes import separates_experiments
from lmkit.settings.layers import COMPONENT_SECTIONS, Layer


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of a comparison.

    Args:
        name: What it is called in the comparison: the end of its path that tells it from others.
        run: The run.
        dataset: The data it was measured on, as it reads them.
        report: Its evaluation.
        cost: What it costs.
    """

    name: str
    run: Run
    dataset: Dataset
    report: EvaluationReport
    cost: Cost

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings, ``{"section.key": value}``."""
        return known_settings(self.run)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "path": str(self.run.path),
            "steps": self.run.step,
            "landmarks": self.report.detections.shape[1],
            "cost": self.cost.to_dict(),
            "evaluation": self.report.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs measured on the same images.

    Args:
        entries: The runs, as given.
        differences: Of each pair of runs, the earlier against the later.
        seeds: Runs that differ in their seed alone, summarised.
        notes: What a reader must know, a sentence each.
    """

    entries: list[Entry]
    differences: list[Difference]
    seeds: list[Seeds]
    notes: list[str]

    @property
    def best(self) -> Entry:
        """The run with the smallest error."""
        return min(self.entries, key=lambda entry: entry.report.forward)

    def differing(self) -> dict[str, list[Any]]:
        """Return the settings that are not the same everywhere, with each run's value."""
        return differing([entry.settings for entry in self.entries])

    def against(self, name: str) -> list[Difference]:
        """Return the difference of every other run from one."""
        return [
            each if each.second == name else each.turned()
            for each in self.differences
            if name in (each.first, each.second)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        report = self.entries[0].report
        names = [entry.name for entry in self.entries]
        return {
            "data": report.data,
            "unit": report.unit,
            "images": {"fit": report.fit_images, "test": report.test_images},
            "runs": [entry.to_dict() for entry in self.entries],
            "settings": {
                key: dict(zip(names, values, strict=True))
                for key, values in self.differing().items()
            },
            "best": self.best.name,
            "differences": [each.to_dict() for each in self.differences],
            "seeds": [each.to_dict() for each in self.seeds],
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Gathered:
    """Runs that are to be compared, and the images on which they can be.

    Args:
        runs: The runs.
        names: What each is called: the end of its path that tells it from others.
        parts: The data as each run opens it, divided alike.
    """

    runs: list[Run]
    names: list[str]
    parts: list[Prepared]

    @property
    def annotated(self) -> bool:
        """Whether the data has points to measure errors against."""
        return bool(self.parts[0].dataset.point_names)


def gather(
    runs: Sequence[str | Path | Run], layers: Sequence[Layer] = (), device: str = "auto"
) -> Gathered:
    """Open runs, and their data once a run; arguments as for ``compare``.

    Raises:
        LmkitError: If there are fewer than two runs, or they have no test images in common.
    """
    opened = [run if isinstance(run, Run) else open_run(run, device=device) for run in runs]
    for run in opened:
        run.need_folder()
    _refuse_too_few(opened)
    names = _names([run.path for run in opened])
    parts, fit, test = share_images(opened, names, layers)
    alike = []
    for ready in parts:
        numbers = {ready.dataset.key(index): index for index in range(len(ready.dataset))}
        shared = ([numbers[key] for key in part] for part in (fit, test))
        alike.append(replace(ready, split=Split(ready.split.train, *shared)))
    return Gathered(opened, names, alike)


def compare(
    runs: Sequence[str | Path | Run],
    *,
    layers: Sequence[Layer] = (),
    device: str = "auto",
    batch_size: int = 64,
    progress: ProgressCallback = lambda done, total: None,
) -> Comparison:
    """Measure runs on the same images and compare them.

    The regressor of each is fitted on the images that all may fit on, and tested on those that
    test in all.

    Args:
        runs: Two or more: folders, or opened runs.
        layers: Settings of the data to measure on, if it is not the runs' own; as for
            [other_data][lmkit.preparation.of_run.other_data].
        device: Where the detectors of folders compute.
        batch_size: Images a detector sees at a time.
        progress: Called with the number of images done, and of all.

    Raises:
        LmkitError: If there are fewer than two runs, or they have no test images in common.
    """
    return measure(gather(runs, layers, device), batch_size=batch_size, progress=progress)


def measure(
    gathered: Gathered,
    protocol: Protocol = QUICK,
    *,
    batch_size: int = 64,
    progress: ProgressCallback = lambda done, total: None,
) -> Comparison:
    """Measure runs on annotated images and compare them; arguments as for ``compare``."""
    entries: list[Entry] = []
    count = len(gathered.runs)
    for name, run, ready in zip(gathered.names, gathered.runs, gathered.parts, strict=True):

        def told(done: int, total: int, before: int = len(entries)) -> None:
            progress(before * total + done, total * count)

        report = evaluate(run, ready, protocol, batch_size=batch_size, progress=told)
        entries.append(Entry(name, run, ready.dataset, report, measure_cost(run)))
    return summarise(entries)


def summarise(entries: Sequence[Entry]) -> Comparison:
    """Compare runs that are measured already, on the same images.

    Args:
        entries: Two or more.

    Raises:
        LmkitError: If they were not measured on the same images.
    """
    keys = entries[0].report.keys
    for entry in entries[1:]:
        if entry.report.keys != keys:
            raise LmkitError(
                f"{entries[0].name} and {entry.name} were not measured on the same images.",
                remedy="Compare reports of the same test images.",
                code=ExitCode.DATA,
            )
    differences = [
        Difference.of(a.name, a.report.per_image, b.name, b.report.per_image)
        for a, b in combinations(entries, 2)
    ]
    seeds = _group_by_seed(entries)
    return Comparison(list(entries), differences, seeds, _notes(entries, seeds))


def known_settings(run: Run) -> dict[str, Any]:
    """Return a run's settings, ``{"section.key": value}``.

    Those of a component that is not here are as ``run.json`` holds them.
    """
    sections = (*COMPONENT_SECTIONS, "loss")
    return run.resolve(*(each for each in sections if not run.missing(each))).flat()


def differing(every: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that are not the same everywhere, with the value of each run.

    None stands where a run has no such setting: an option of another component.
    """
    keys = dict.fromkeys(key for settings in every for key in settings)
    found = {key: [settings.get(key) for settings in every] for key in keys}
    return {
        key: values for key, values in found.items() if any(value != values[0] for value in values)
    }


def _refuse_too_few(runs: Sequence[Run]) -> None:
    paths = [run.path.resolve() for run in runs]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if len(runs) < 2 or twice is not None:
        problem = f"{twice} is given twice." if twice else "A comparison takes two runs or more."
        raise LmkitError(problem, remedy="Give the folders of different runs.")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths, all of the same number of parts, that differ."""
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _group_by_seed(entries: Sequence[Entry]) -> list[Seeds]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        settings = entry.settings
        same = {k: v for k, v in settings.items() if separates_experiments(k)}
        groups.setdefault(repr((sorted(same.items()), entry.run.step)), []).append(entry)
    return [
        Seeds.of(
            [entry.name for entry in group],
            [entry.run.settings.run.seed for entry in group],
            [entry.report.forward for entry in group],
        )
        for group in groups.values()
        if len({entry.run.settings.run.seed for entry in group}) > 1
    ]


def _notes(entries: Sequence[Entry], seeds: Sequence[Seeds]) -> list[str]:
    grouped = {name for each in seeds for name in each.runs}
    notes = [
        "Intervals are of the test images alone: they say what other images like these would "
        "have changed."
    ]
    if len(grouped) < len(entries):
        notes.append(
            "With one run per setting, nobody knows what another seed would have changed; train "
            "several with --seed."
        )
    devices = {entry.cost.device or "an unknown device" for entry in entries}
    if len(devices) > 1:
        words = ", ".join(f"{e.name} on {e.cost.device or 'an unknown device'}" for e in entries)
        notes.append(f"Images a second are not comparable, the devices differ: {words}.")
    crops = {entry.report.crop for entry in entries}
    if len(crops) > 1 and any(entry.report.crop_from_annotation for entry in entries):
        notes.append(
            "The runs crop differently, and not all without annotation: their errors are not "
            "comparable."
        )
    for entry in entries:
        steps = entry.run.settings.run.steps
        if entry.run.step < steps:
            notes.append(f"{entry.name} is not finished: step {entry.run.step} of {steps}.")
        notes += [f"{entry.name}: {warning}" for warning in entry.report.warnings()]
        if (verdict := entry.report.verdict) is not None:
            notes.append(f"{entry.name}: {verdict.sentence}")
    told = [note for entry in entries for note in (*entry.report.notes, *entry.report.remarks)]
    return [*notes, *dict.fromkeys(told)]
