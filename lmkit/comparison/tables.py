"""A comparison as tables: the same for the terminal and for the page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmkit.comparison.cost import Cost, Size
from lmkit.comparison.runs import Comparison
from lmkit.evaluation.label_free import Judgement
from lmkit.evaluation.verdict import Verdict
from lmkit.registry.values import as_typed
from lmkit.run.run import Run

NOTHING = "-"
"""Stands where there is no value."""
COST = ("run", "steps", "landmarks", "detector", "generator", "GFLOP", "images/s", "on")
"""Headings of what runs cost."""


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
        Table("Settings that differ", ["setting", *names], settings_rows(comparison.differing())),
        Table(
            "Errors, in " + entries[0].report.unit,
            [
                *("run", "NME %", "95 % interval", "untrained", "mean shape", "backward"),
                f"against {best}",
            ],
            _errors(comparison),
        ),
        Table(
            "Told without annotation",
            FOLLOWING,
            [
                [entry.name, *following(judgement, verdict)]
                for entry in entries
                if (judgement := entry.report.judgement) and (verdict := entry.report.verdict)
            ],
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
            COST,
            [cost_cells(entry.name, entry.run, entry.cost) for entry in entries],
        ),
    ]
    return [table for table in found if table.rows]


FOLLOWING = (
    *("run", "movements followed", "untrained", "equivariance error", "recognised"),
    *("moved by other surroundings", "images at fault", "verdict"),
)
"""Headings of what is told of runs without annotation."""


def following(judgement: Judgement, verdict: Verdict) -> list[str]:
    """Return the cells below [FOLLOWING][lmkit.comparison.tables.FOLLOWING], but the run's name."""
    own, control = judgement.own, judgement.control
    return [
        f"{100 * own.followed:.1f} %",
        NOTHING if control is None else f"{100 * control.followed:.1f} %",
        f"{own.equivariance:.2f} %",
        NOTHING if own.recognised is None else f"{100 * own.recognised:.1f} %",
        NOTHING if own.surroundings is None else f"{own.surroundings:.2f} %",
        f"{100 * own.faults.share:.1f} %",
        verdict.level,
    ]


def statement(comparison: Comparison) -> str:
    """Return on what the runs were measured, as a sentence."""
    report = comparison.entries[0].report
    return (
        f"Fitted on {report.fit_images:,} and tested on {report.test_images:,} images of "
        f"{report.data}, the same for all."
    )


def markdown(comparison: Comparison) -> str:
    """Return a comparison as a page of Markdown."""
    blocks = ["# Comparison", statement(comparison), *blocks_of(tables(comparison))]
    blocks.append("## Notes")
    blocks.append("\n".join(f"- {note}" for note in [*READING, *comparison.notes]))
    blocks.append("![The same faces, a row each run](faces.png)")
    return "\n\n".join(blocks) + "\n"


def blocks_of(found: Sequence[Table]) -> list[str]:
    """Return tables as blocks of Markdown, each after its title."""
    blocks = []
    for table in found:
        lines = [table.headings, ["---"] * len(table.headings), *table.rows]
        blocks.append(f"## {table.title}")
        blocks.append("\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines))
    return blocks


READING = (
    "Detector and generator: how many numbers train, of all that a checkpoint holds. GFLOP: of the "
    "detector, for one image.",
)
"""How to read the tables, a sentence or two each."""


def settings_rows(differing: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Return the rows of the settings that differ."""
    return [
        [key, *(NOTHING if value is None else as_typed(value) for value in values)]
        for key, values in differing.items()
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
                NOTHING if report.untrained is None else f"{report.untrained:.2f}",
                f"{report.mean_shape:.2f}",
                NOTHING if report.backward is None else f"{report.backward:.2f}",
                words.get(entry.name, NOTHING),
            ]
        )
    return rows


def cost_cells(name: str, run: Run, cost: Cost) -> list[str]:
    """Return the cells below [COST][lmkit.comparison.tables.COST]."""
    return [
        name,
        f"{run.step:,}",
        str(run.settings.run.landmarks),
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
