"""Looks a data set over: counts, sizes, and whatever would spoil training or testing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace

import numpy as np

from lmkit.data.crops import LEAK
from lmkit.data.fingerprints import NEAR, near_pairs
from lmkit.data.framing import build_framer
from lmkit.data.scan import Look, scan
from lmkit.data.split import Split
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.data.workers import workers_to_read_all
from lmkit.errors import LmkitError
from lmkit.preparation.check.report import Alike, DataReport, Finding, Range, Sizes
from lmkit.preparation.prepared import divide_data
from lmkit.registry.lookup import Registry, installed
from lmkit.runtime.assemble import build_dataset
from lmkit.settings.settings import Settings

_ANY = 1 - 1e-12
"""A share of unreadable images that all but refuses none; 1 itself is no setting."""


def check(
    settings: Settings,
    label: str,
    *,
    quick: bool = False,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DataReport:
    """Look the data of a run over, as training would use it.

    Args:
        settings: The run's; what matters is the data, loading, the seed and the image size.
        label: What to call the data in the report.
        quick: Whether to leave images unread: nothing is then said about their sizes and pixels.
        registry: Where the kind of data is looked up.
        progress: Called with the number of images read, and of all.

    Raises:
        LmkitError: If the data cannot be opened at all.
    """
    dataset = build_dataset(settings, registry or installed())
    report = DataReport(settings, dataset, None, label, quick=quick)
    report.findings += [Finding("note", note) for note in dataset.notes]
    framer = build_framer(settings)
    if framer.crop is not None and framer.crop.from_annotation:
        report.findings.append(Finding("leak", f"The crop is {framer.crop}: {LEAK}."))
    problems = find_unreadable(dataset)
    _divide(report, settings, problems)
    _count(report)
    if not quick:
        rest = [index for index in range(len(dataset)) if index not in problems]
        workers = workers_to_read_all(settings.loading.workers, len(rest))
        looks, found = scan(dataset, rest, framer, workers=workers, progress=progress)
        problems = {**problems, **found}
        _measure(report, looks)
        if report.split is not None:
            _compare(report, report.split, looks)
    _count_unreadable(report, problems)
    report.findings.sort(key=lambda finding: not finding.problem)
    return report


def _divide(report: DataReport, settings: Settings, problems: Mapping[int, str]) -> None:
    """Divide the data as training would, and see what that leaves to be desired."""
    dataset, findings = report.dataset, report.findings
    # Whether too many are unreadable is said once, when all have been read.
    any_number = replace(settings, loading=replace(settings.loading, max_unreadable=_ANY))
    try:
        ready = divide_data(dataset, any_number, problems)
    except LmkitError as error:
        findings.append(_refusal(error))
        return
    split = report.split = ready.split
    report.left_out = ready.without_points
    if ready.without_points:
        images = "image has" if ready.without_points == 1 else "images have"
        findings.append(
            Finding(
                "no-crop",
                f"{ready.without_points} {images} no annotated points to be cropped by, and "
                "would be left out.",
            )
        )
    if len(split.train) < settings.run.batch_size:
        findings.append(
            Finding(
                "few",
                f"{len(split.train)} images to train on fill no batch of "
                f"{settings.run.batch_size} (run.batch_size).",
            )
        )
    groups = {dataset.group(index) for index in (*split.train, *split.fit)} - {None}
    both = Counter(group for index in split.test if (group := dataset.group(index)) in groups)
    if both:
        findings.append(
            Finding(
                "subject",
                f"{_of(both, 'subject')} (or what else belongs together) of the test "
                f"{'is' if len(both) == 1 else 'are'} in training too.",
                [f"{group} ({_of(count, 'test image')})" for group, count in both.items()],
            )
        )


def _refusal(error: LmkitError) -> Finding:
    return Finding("refused", f"{error.problem} {error.remedy}", problem=True)


def _count(report: DataReport) -> None:
    """Count annotation and subjects, and see that the normalising distance is one."""
    dataset = report.dataset
    first, second = dataset.normalising_pair
    subjects = set()
    degenerate = []
    for index in range(len(dataset)):
        points, subject = dataset.annotation(index)
        if subject is not None:
            subjects.add(subject)
        if points is None:
            continue
        known = np.isfinite(points).all(axis=1)
        report.annotated += int(known.all())
        report.partly_annotated += int(known.any() and not known.all())
        if max(first, second) < len(points) and np.array_equal(points[first], points[second]):
            degenerate.append(dataset.key(index))
    report.subjects = len(subjects)
    if degenerate:
        names = " and ".join(dataset.point_names[number] for number in (first, second))
        report.findings.append(
            Finding(
                "degenerate",
                f"The points that normalise errors, {names}, coincide on "
                f"{_of(degenerate, 'image')}.",
                degenerate,
            )
        )


def _measure(report: DataReport, looks: Mapping[int, Look]) -> None:
    """Tell the sizes of the images, and which points lie outside of them."""
    if not looks:
        return
    size = report.settings.run.image_size
    width = _range([look.width for look in looks.values()])
    height = _range([look.height for look in looks.values()])
    smaller = sum(look.shown < size for look in looks.values())
    report.sizes = Sizes(width, height, smaller, size)
    outside = [
        f"{report.dataset.key(index)} ({_of(look.outside, 'point')})"
        for index, look in sorted(looks.items())
        if look.outside
    ]
    if outside:
        text = f"Annotated points lie outside of {_of(outside, 'image')}."
        report.findings.append(Finding("outside", text, outside))


def _range(lengths: Sequence[int]) -> Range:
    return Range(min(lengths), float(np.median(lengths)), max(lengths))


def _compare(report: DataReport, split: Split, looks: Mapping[int, Look]) -> None:
    """Look for images that are in training and in testing, and for copies within a part."""
    training = [index for index in dict.fromkeys((*split.train, *split.fit)) if index in looks]
    testing = [index for index in split.test if index in looks]
    for part in (training, testing):
        report.copies += len(part) - len({looks[index].mark.digest for index in part})
    report.alike = sorted(
        (*_same(training, testing, looks), *_near(training, testing, looks)),
        key=lambda pair: (pair.distance, pair),
    )
    key = report.dataset.key
    same = [f"{key(a)} = {key(b)}" for a, b, distance in report.alike if distance < 0]
    if same:
        text = f"{_of(same, 'test image')} in training too, equal in every pixel."
        report.findings.append(Finding("duplicate", text, same))
    near = [
        f"{key(a)} ~ {key(b)} ({distance} bits)" for a, b, distance in report.alike if distance >= 0
    ]
    if near:
        text = (
            f"{_of(near, 'pair')} of a training and a test image may be one image, saved or "
            f"resized (up to {NEAR} of 256 bits of their difference hashes differ)."
        )
        report.findings.append(Finding("near-duplicate", text, near))


def _same(
    training: Sequence[int], testing: Sequence[int], looks: Mapping[int, Look]
) -> Iterator[Alike]:
    """Yield each test image that equals one of training, with the first such."""
    first: dict[bytes, int] = {}
    for index in training:
        first.setdefault(looks[index].mark.digest, index)
    for index in testing:
        if (found := first.get(looks[index].mark.digest)) is not None:
            yield Alike(found, index, -1)


def _near(
    training: Sequence[int], testing: Sequence[int], looks: Mapping[int, Look]
) -> Iterator[Alike]:
    """Yield pairs whose hashes differ little, but not those that are equal in every pixel."""
    pairs = near_pairs(
        [looks[index].mark.bits for index in training],
        [looks[index].mark.bits for index in testing],
    )
    for first, second, distance in pairs:
        one, other = training[first], testing[second]
        if looks[one].mark.digest != looks[other].mark.digest:
            yield Alike(one, other, distance)


def _count_unreadable(report: DataReport, problems: Mapping[int, str]) -> None:
    """Name the unreadable images, and say if there are more than training puts up with."""
    if not problems:
        return
    dataset = report.dataset
    unreadable = Unreadable(report.settings.loading.max_unreadable)
    for index, reason in sorted(problems.items()):
        unreadable.add(dataset.key(index), reason)
    report.left_out += len(problems)
    text = f"{_of(problems, 'image')} cannot be read, and would be left out."
    named = [f"{entry['image']} ({entry['reason']})" for entry in unreadable.report()]
    report.findings.append(Finding("unreadable", text, named))
    if not report.usable:
        return  # For this reason or another, as found before images were read.
    try:
        unreadable.check(len(dataset), all_read=not report.quick)
    except LmkitError as error:
        report.findings.append(_refusal(error))


def _of(things: Sized | int, name: str) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count} {name}{'' if count == 1 else 's'}"
