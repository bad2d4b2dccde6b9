"""A comparison as tables: the same for the terminal and for the page of Markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from lmkit.comparison.cost import Size
from lmkit.comparison.runs import Comparison, Entry
from lmkit.registry.values import as_typed

NOTHING = "-"
"""Stands where there is no value."""


class Table(NamedTuple):
    """Rows of text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(comparison: Comparison) -> list[Table]:
    """Return everything that a comparison found but its notes; no table is empty."""
    entries = comparison.entries
    names = [entry.name for entry in entries]
    best = comparison.best.name
    found = [
        Table("Settings that differ", ["setting", *names], _settings(comparison)),
        Table(
            "Errors, in " + entries[0].report.unit,
            ["run", "NME %", "95 % interval", "mean shape", "backward", f"against {best}"],
            _errors(comparison),
        ),
        Table(
            "Runs that differ in their seed alone",
            ["runs", "seeds", "NME %, mean", "standard deviation"],
            [
                [
                    ", ".join(each.runs),
                    ", ".join(map(str, each.seeds)),
                    f"{each.mean:.2f}",
                    f"{each.sd:.2f}",
                ]
                for each in comparison.seeds
            ],
        ),
        Table(
            "Cost",
            ["run", "steps", "landmarks", "detector", "generator", "GFLOP", "images/s", "on"],
            [_cost(entry) for entry in entries],
        ),
    ]
    return [table for table in found if table.rows]


def statement(comparison: Comparison) -> str:
    """Return on what the runs were measured, as a sentence."""
    report = comparison.entries[0].report
    return (
        f"Fitted on {report.fit_images:,} and tested on {report.test_images:,} images of "
        f"{report.data}, the same for all."
    )


def markdown(comparison: Comparison) -> str:
    """Return a comparison as a page of Markdown."""
    blocks = ["# Comparison", statement(comparison)]
    for table in tables(comparison):
        lines = [table.headings, ["---"] * len(table.headings), *table.rows]
        blocks.append(f"## {table.title}")
        blocks.append("\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines))
    blocks.append("## Notes")
    blocks.append("\n".join(f"- {note}" for note in [*READING, *comparison.notes]))
    blocks.append("![The same faces, a row each run](faces.png)")
    return "\n\n".join(blocks) + "\n"


READING = (
    "Detector and generator: how many numbers train, of all that a checkpoint holds. GFLOP: of the "
    "detector, for one image.",
)
"""How to read the tables, a sentence or two each."""


def _settings(comparison: Comparison) -> list[list[str]]:
    return [
        [key, *(NOTHING if value is None else as_typed(value) for value in values)]
        for key, values in comparison.differing().items()
    ]


def _errors(comparison: Comparison) -> list[list[str]]:
    words = {each.first: each.words for each in comparison.against(comparison.best.name)}
    rows = []
    for entry in comparison.entries:
        report = entry.report
        rows.append(
            [
                entry.name,
                f"{report.forward:.2f}",
                f"{report.interval.low:.2f} to {report.interval.high:.2f}",
                f"{report.mean_shape:.2f}",
                NOTHING if report.backward is None else f"{report.backward:.2f}",
                words.get(entry.name, NOTHING),
            ]
        )
    return rows


def _cost(entry: Entry) -> list[str]:
    cost = entry.cost
    return [
        entry.name,
        f"{entry.run.step:,}",
        str(entry.report.detections.shape[1]),
        _size(cost.detector),
        NOTHING if cost.generator is None else _size(cost.generator),
        f"{cost.gflop:.3g}",
        NOTHING if cost.images_per_second is None else f"{cost.images_per_second:.3g}",
        cost.device or "unknown",
    ]


def _size(size: Size) -> str:
    if size.trainable == size.total:
        return f"{size.total:,}"
    return f"{size.trainable:,} of {size.total:,}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
