"""What is told of a run without annotation, on the terminal."""

from typing import TYPE_CHECKING

import click

from lmkit.cli.options import count_of

if TYPE_CHECKING:
    from lmkit.evaluation.label_free import Judgement, LabelFree
    from lmkit.evaluation.unlabelled import UnlabelledReport

WORST = 5
"""How many of the worst images and landmarks are named."""

STABILITY = "stability, turned images"

Rows = list[tuple[str, str, str]]


def label_free_rows(judgement: "Judgement") -> Rows:
    """Return the rows of a table: what is measured, of the run, and of the untrained network."""
    own, control = judgement.own, judgement.control
    chance = 100 / judgement.found.shape[1]

    def cell(of: "LabelFree | None", form: str, value: str) -> str:
        found = None if of is None else getattr(of, value)
        return "" if found is None else form.format(found)

    measured = [
        ("known movements that landmarks follow", "{:.1%}", "followed"),
        ("equivariance error", "{:.2f} % of the side", "equivariance"),
        ("moved by other surroundings", "{:.2f} % of the side", "surroundings"),
        (f"landmarks recognised, by chance {chance:.0f} %", "{:.1%}", "recognised"),
        ("spread of the landmarks, mean", "{:.1f} % of the side", "spread"),
    ]
    rows = [
        (title, cell(own, form, value), cell(control, form, value))
        for title, form, value in measured
    ]
    for title, form in (
        (STABILITY, "{0.stability.mean:.2f} pixels of 128"),
        ("images at fault", "{0.faults.share:.1%}"),
    ):
        rows.append((title, form.format(own), "" if control is None else form.format(control)))
    if (drawn := judgement.reconstruction) is not None:
        title = f"reconstruction, left undrawn {drawn.undrawn:.1f} %"
        rows.append((title, f"{drawn.error:.1f} % of the range", ""))
    return rows


def print_label_free(judgement: "Judgement", *, stability: bool = True) -> None:
    """Print the table of [label_free_rows][lmkit.cli.label_free_report.label_free_rows].

    Args:
        judgement: What was found.
        stability: Whether the stability is shown, which some reports have elsewhere.
    """
    from lmkit.cli.terminal import print_table

    images = count_of(len(judgement.keys), "image")
    print_table(
        (f"without annotation, on {images}", "this run", "untrained"),
        [row for row in label_free_rows(judgement) if stability or row[0] != STABILITY],
    )


def print_unlabelled(report: "UnlabelledReport") -> None:
    """Print a report on data without annotation: figures, the worst, and the verdict."""
    from lmkit.cli.terminal import print_table

    own = report.judgement.own
    print_label_free(report.judgement)
    rows = [
        (report.keys[row], f"{own.per_image[row]:.2f}", f"{own.faults.any[row].sum()}")
        for row in report.worst()[:WORST]
    ]
    print_table(("worst images", "equivariance error, % of the side", "landmarks at fault"), rows)
    followed = own.followed_per_landmark
    order = sorted(range(len(followed)), key=lambda k: followed[k])[:WORST]
    at_fault = own.faults.landmarks
    print_table(
        ("worst landmarks", "movements followed", "images at fault"),
        [(str(k), f"{followed[k]:.1%}", f"{at_fault[k]:.1%}") for k in order],
    )
    click.echo(f"Health: {own.faults.sentence()}")
    click.echo(f"Verdict: {report.verdict.sentence}")
    click.echo(
        f"Without annotation, on {count_of(len(report.keys), 'image')} of {report.data}, framed by "
        f"'{report.framer.fit}', after {report.step} steps; seed {report.seed}."
    )
    if report.unreadable:
        click.echo(f"Left out, because unreadable: {count_of(report.unreadable, 'image')}.")
