"""A table with the published figures beside ours: as JSON, and as Markdown of the same numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from lmkit.api import CampaignResult
from lmkit_interintra.tables.deviations import (
    COMPARABLE,
    NOT_COMPARABLE,
    deviations,
    is_comparable,
)
from lmkit_interintra.tables.published import PAPER, Row, Table
from lmkit_interintra.tables.rows import folder_of

UNIT = "NME in percent of the distance between the eyes"


def collect(
    table: Table,
    asked: Sequence[Row],
    seeds: Sequence[int],
    read: Callable[[str], CampaignResult | None],
) -> dict[Row, list[CampaignResult]]:
    """Read what is measured of a table's rows, those of earlier calls included.

    Args:
        table: The table.
        asked: The rows of this call, which are there even if nothing is measured yet.
        seeds: The seeds of this call; the first names the folders.
        read: Returns what is known of a run by its name.
    """
    found = {}
    for row in table.rows:
        runs = [read(folder_of(row, seed, seeds[0])) for seed in seeds]
        results = [run for run in runs if run is not None]
        if results or row in asked:
            found[row] = results
    return found


def build(
    table: Table,
    results: Mapping[Row, Sequence[CampaignResult]],
    names: Sequence[str],
) -> dict[str, Any]:
    """Return a table's JSON form, the only place where its numbers are made.

    Args:
        table: What the paper published.
        results: The measured runs of each row; none of them for a row that is not done.
        names: What they were measured on.
    """
    measured = {row: runs for row, runs in results.items() if runs}
    own_data = not set(names) & set(table.data)
    missing = [] if own_data else [name for name in table.data if name not in names]
    rows = [
        {
            "row": row.name,
            "label": row.label,
            "landmarks": row.landmarks,
            "published": {name: row.nme[name] for name in table.data},
            "measured": {
                name: _figure([run.reports[name]["forward"]["nme"] for run in runs])
                for name in names
            },
            "untrained": {name: _untrained(runs, name) for name in names},
            "runs": [run.name for run in runs],
        }
        for row, runs in results.items()
    ]
    content: dict[str, Any] = {
        "table": table.name,
        "title": table.title,
        "source": f"{PAPER}, page {table.page}",
        "unit": UNIT,
        "published_on": list(table.data),
        "measured_on": names,
        "rows": rows,
        "mean_shape": {name: _mean_shape(measured.values(), name) for name in names},
    }
    if table.labelled is not None:
        content["labelled"] = _labelled(table, next(iter(results.values()), []), names)
    content["spread"] = _spread(table, results.values())
    content["not_done"] = [row.name for row, runs in results.items() if not runs]
    if measured:
        content["comparable"] = is_comparable(measured)
        content["note"] = COMPARABLE if content["comparable"] else NOT_COMPARABLE
        content["deviations"] = deviations(measured, missing)
    else:
        content |= {"comparable": None, "note": "Nothing is measured yet.", "deviations": []}
    return content


def markdown(content: Mapping[str, Any]) -> str:
    """Return a table's Markdown form."""
    body = _labelled_lines(content) if "labelled" in content else _row_lines(content)
    paragraphs = [
        f"# {content['title']}",
        f"{content['unit']}. Published: {content['source']}.",
        "\n".join(body),
        *([content["spread"]] if content["spread"] else []),
        *([f"Not done yet: {', '.join(content['not_done'])}."] if content["not_done"] else []),
        content["note"],
    ]
    if content["deviations"]:
        listed = "\n".join(f"- {sentence}" for sentence in content["deviations"])
        paragraphs += ["Where these runs deviate from the paper:", listed]
    return "\n\n".join(paragraphs) + "\n"


def _row_lines(content: Mapping[str, Any]) -> list[str]:
    published, measured = content["published_on"], content["measured_on"]
    heads = ["row", "paper's name", "K"]
    heads += [f"{name}, published" for name in published]
    heads += [f"{name}, {which}" for which in ("lmkit", "untrained") for name in measured]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in content["rows"]:
        cells = [f"`{row['row']}`", row["label"], str(row["landmarks"])]
        cells += [f"{row['published'][name]:.2f}" for name in published]
        for which in ("measured", "untrained"):
            cells += [_cell(row[which][name]) for name in measured]
        lines.append(_line(cells))
    last = ["mean shape", "", "", *[""] * len(published)]
    last += [_cell(content["mean_shape"][name]) for name in measured]
    return [*lines, _line([*last, *[""] * len(measured)])]


def _labelled_lines(content: Mapping[str, Any]) -> list[str]:
    published, measured = content["published_on"], content["measured_on"]
    heads = ["N", *(f"{name}, published" for name in published)]
    heads += [f"{name}, lmkit" for name in measured]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in content["labelled"]:
        cells = ["all" if row["number"] is None else str(row["number"]), f"{row['published']:.2f}"]
        lines.append(_line([*cells, *(_cell(row["measured"][name]) for name in measured)]))
    first = content["rows"][0]["untrained"] if content["rows"] else dict.fromkeys(measured)
    for title, figures in (("untrained, all", first), ("mean shape", content["mean_shape"])):
        cells = [title, *[""] * len(published)]
        lines.append(_line([*cells, *(_cell(figures[name]) for name in measured)]))
    return lines


def _labelled(
    table: Table, runs: Sequence[CampaignResult], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the error by N. Of one run, the deviation is over its draws; of several, over them."""
    assert table.labelled is not None
    lines = []
    for number, published in table.labelled.items():
        measured = {}
        for name in names:
            if number is None:
                found = [{"nme": run.reports[name]["forward"]["nme"], "sd": None} for run in runs]
            else:
                found = [
                    line
                    for run in runs
                    for line in run.reports[name]["labelled"]
                    if line["number"] == number
                ]
            figure = _figure([line["nme"] for line in found])
            if figure is not None and len(found) == 1:
                figure["sd"] = found[0]["sd"]
            measured[name] = figure
        lines.append({"number": number, "published": published, "measured": measured})
    return lines


def _figure(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    sd = stdev(values) if len(values) > 1 else None
    return {"nme": mean(values), "sd": sd, "values": list(values)}


def _mean_shape(rows: Iterable[Sequence[CampaignResult]], name: str) -> dict[str, Any] | None:
    """Return the mean shape's error; it varies only where each seed holds out other images."""
    values = [run.reports[name]["mean_shape"]["nme"] for runs in rows for run in runs]
    return _figure(values[:1] if max(values, default=0) == min(values, default=0) else values)


def _untrained(runs: Sequence[CampaignResult], name: str) -> dict[str, Any] | None:
    """Return the error of the runs' networks untrained; None where all were measured without."""
    controls = [run.reports[name].get("controls", {}).get("untrained") for run in runs]
    return _figure([control["nme"] for control in controls if control])


def _spread(table: Table, results: Iterable[Sequence[CampaignResult]]) -> str | None:
    """Say what a standard deviation is over, if there is any."""
    runs = list(results)
    seeds = max(map(len, runs), default=0)
    if seeds > 1:
        return "± is the sample standard deviation over seeds."
    if table.labelled is None or not seeds:
        return None
    report = next(iter(runs[0][0].reports.values()))
    draws = max((line["draws"] for line in report["labelled"]), default=1)
    return f"± is the sample standard deviation over {draws} draws of N images."


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "-"
    deviation = "" if figure["sd"] is None else f" ± {figure['sd']:.2f}"
    return f"{figure['nme']:.2f}{deviation}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
