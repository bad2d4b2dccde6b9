"""An evaluation's report on the terminal."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from lmkit.cli.label_free_report import print_label_free
from lmkit.cli.options import count_of

if TYPE_CHECKING:
    from lmkit.evaluation.regression import Convention
    from lmkit.evaluation.report import EvaluationReport

EVERY_POINT = 10
"""Up to so many annotated points, the error of each is shown; of more, the worst."""
WORST = 5
"""How many of the worst points are shown."""


def print_report(report: "EvaluationReport") -> None:
    """Print a report: figures, then points, then few labelled images, then what is wrong."""
    from lmkit.cli.terminal import print_table

    print_table(("error, " + report.unit, "NME %", "95 % interval"), _errors(report))
    print_table(("beside the error", ""), _others(report))
    headings, rows = _points(report)
    print_table(headings, rows)
    if report.labelled:
        print_table(("labelled images", "NME %", "over draws"), _labelled(report))
    if report.judgement is not None:
        print_label_free(report.judgement, stability=False)
    print_health(report)
    for line in _statements(report):
        click.echo(line)


def print_health(report: "EvaluationReport", say: Callable[[str], None] = click.echo) -> None:
    """Print what images and landmarks are at fault, what else is wrong, and the verdict.

    Args:
        report: The report.
        say: Takes each line.
    """
    say(f"Health: {report.faults.sentence()}")
    for warning in report.warnings():
        say(f"Warning: {warning}")
    if report.verdict is not None:
        say(f"Verdict: {report.verdict.sentence}")


def _errors(report: "EvaluationReport") -> list[tuple[str, str, str]]:
    low, high = report.interval
    rows = []
    for title, figure in (("with bias", report.with_bias), ("without bias", report.without_bias)):
        interval = f"{low:.2f} to {high:.2f}" if figure is report.convention else ""
        error = f"{report.by_convention[figure.name]:.2f}"
        rows.append((f"forward, {title} ({figure.name})", error, interval))
    if (control := report.controls.untrained) is not None:
        low, high = control.difference
        words = f"the run's less this: {low:.2f} to {high:.2f}"
        rows.append(("the same network untrained", f"{control.nme:.2f}", words))
    title = "mean shape" if report.controls.fixed_points is None else "mean shape, fixed points"
    rows.append((title, f"{report.mean_shape:.2f}", ""))
    if report.backward is not None:
        rows.append(("backward, from annotated points to landmarks", f"{report.backward:.2f}", ""))
    return rows


def _others(report: "EvaluationReport") -> list[tuple[str, str]]:
    from lmkit.evaluation.measures import MEASURES

    curve, health = report.curve, report.health
    limit = f"{curve.threshold:g} %"
    rows = [
        *((MEASURES[name].title, f"{value:.2f} %") for name, value in report.measures.items()),
        (f"failures, images with an error above {limit}", f"{100 * curve.failure_rate:.1f} %"),
        (f"area under the error curve up to {limit}", f"{100 * curve.area:.1f} %"),
        ("spread of the landmarks, mean", f"{health.mean_spread:.1f} % of the side"),
    ]
    if report.stability is not None:
        turned = count_of(report.stability.images, "turned image")
        fixed = report.controls.fixed_points
        beside = "" if fixed is None else f" (fixed points: {fixed.stability:.2f})"
        rows.append((f"stability, {turned}", f"{report.stability.mean:.2f} pixels of 128{beside}"))
    sure = report.reliability
    if sure is not None and sure.correlation is not None:
        title = "confidence and error of landmarks, rank correlation"
        rows.append((title, f"{sure.correlation:.2f}"))
    return rows


def _points(report: "EvaluationReport") -> tuple[tuple[str, str], list[tuple[str, str]]]:
    each = [
        (error, name)
        for name, error in zip(report.point_names, report.forward_per_point, strict=True)
        if error == error  # not known in any test image otherwise
    ]
    if len(report.point_names) <= EVERY_POINT:
        return ("annotated point", "NME %"), [(name, f"{error:.2f}") for error, name in each]
    worst = sorted(each, reverse=True)[:WORST]
    heading = f"worst {len(worst)} of {len(report.point_names)} annotated points"
    return (heading, "NME %"), [(name, f"{error:.2f}") for error, name in worst]


def _labelled(report: "EvaluationReport") -> list[tuple[str, str, str]]:
    rows = []
    for row in report.labelled:
        spread = "" if row.sd is None else f"± {row.sd:.2f} over {row.draws}"
        taken = "" if row.images == row.number else f" (fitted on {row.images})"
        rows.append((f"{row.number}{taken}", f"{row.nme:.2f}", spread))
    rows.append((f"all {report.fit_images}", f"{report.forward:.2f}", ""))
    return rows


def _statements(report: "EvaluationReport") -> list[str]:
    """Return what makes the figures comparable with others, or not."""
    from lmkit.data.crops import LEAK

    lines = [
        f"Fitted on {report.fit_images} and tested on {count_of(report.test_images, 'image')} of "
        f"{report.data}, framed by '{report.fit}', after {report.step} steps; seed {report.seed}.",
        f"Convention {_described(report.convention)}.",
    ]
    if report.crop is not None:
        made = f": {LEAK}" if report.crop_from_annotation else ""
        lines.append(f"The crop is {report.crop}{made}.")
    if report.without_pair:
        lines.append(
            f"Left out, because {' and '.join(report.normalised_by)} are not both known: "
            f"{count_of(report.without_pair, 'test image')}."
        )
    if report.unreadable:
        left_out = count_of(report.unreadable, "image")
        lines.append(f"Left out, because unreadable: {left_out}.")
    return [*lines, *report.remarks]


def _described(convention: "Convention") -> str:
    return f"{convention.name}: {convention.describe()}"
