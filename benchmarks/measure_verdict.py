"""How well what is told without annotation predicts the error on annotated images.

    python benchmarks/measure_verdict.py RUNS/* --data celeba:DIR --out DIR

Evaluates every run folder on the same annotated data, writes what it finds of each to DIR/NAME.json
(a run that is there already is read), and prints a table, the smallest error first, and Spearman's
rank correlation of each number with the error. -1 means that a number orders the runs exactly as
the error does, where a larger number is to mean better landmarks.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmkit.errors import LmkitError
from lmkit.evaluation.figures import evenly
from lmkit.evaluation.protocol import QUICK, evaluate
from lmkit.preparation.of_run import other_data, own_data
from lmkit.registry.lookup import installed
from lmkit.run.run import Run, open_run
from lmkit.settings.layers import Layer, parse_data
from lmkit.storage import read_json, write_json

NUMBERS = ("score", "followed", "recognised", "stability", "surroundings", "at fault")
"""Told without annotation; of the last three, less is better."""
RESAMPLES = 2_000


def main(words: list[str] | None = None) -> None:
    """Evaluate, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", help="annotated data; each run's own if not given")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is found")
    parser.add_argument("--images", type=int, help="fit on and test with at most so many")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in asked.runs:
        if not (path / "run.json").is_file():
            continue
        try:
            rows.append(row_of(path, asked.out, asked.device, asked.data, asked.images))
        except LmkitError as error:
            print(f"{path.name} is left out: {error.problem}", file=sys.stderr)
    print(table(rows))


def row_of(
    path: Path, out: Path, device: str, data: str | None, images: int | None
) -> dict[str, Any]:
    """Return a run's numbers, from the file that holds them or by an evaluation."""
    file = out / f"{path.name}.json"
    if file.is_file():
        found: dict[str, Any] = read_json(file)
        return found
    run = open_run(path, device=device)
    found = {"run": path.name, "step": run.step, **measure(run, data, images)}
    write_json(file, found)
    return found


def measure(run: Run, data: str | None = None, images: int | None = None) -> dict[str, Any]:
    """Evaluate a run; arguments as on the command line."""
    if data is None:
        ready = own_data(run)
    else:
        ready = other_data(run, [Layer("--data", {"data": parse_data(data, installed())})])
    if images is not None:
        split = ready.split
        parts = {
            part: [every[row] for row in evenly(len(every), images)]
            for part in ("fit", "test")
            if (every := getattr(split, part))
        }
        ready = replace(ready, split=replace(split, **parts))
    report = evaluate(run, ready, QUICK)
    assert report.judgement is not None
    assert report.verdict is not None
    own = report.judgement.own
    return {
        "error": report.forward,
        "untrained": report.untrained,
        "mean shape": report.mean_shape,
        "verdict": report.verdict.level,
        "score": report.verdict.score,
        "followed": own.followed,
        "recognised": own.recognised,
        "stability": own.stability.mean,
        "surroundings": own.surroundings,
        "at fault": report.faults.share,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the runs by their error and the rank correlations, as Markdown."""
    heads = ["run", "step", "error", "untrained", "mean shape", *NUMBERS, "verdict"]
    lines = [heads, ["---"] * len(heads)]
    for row in sorted(rows, key=lambda row: row["error"]):
        lines.append([_cell(row[head]) for head in heads])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    found = [f"{len(rows)} runs. Spearman's rank correlation with the error:"]
    for name in NUMBERS:
        pairs = [(row[name], row["error"]) for row in rows if row[name] is not None]
        if len(pairs) > 2:
            low, high = interval(*np.transpose(pairs))
            found.append(
                f"- {name}: {spearman(*np.transpose(pairs)):.2f} ({low:.2f} to {high:.2f})"
            )
    return "\n".join([text, "", *found])


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return the rank correlation of two lists (Spearman 1904); NaN where one of them is constant.

    Equal values share the mean of their ranks.
    """
    a, b = (_ranks(np.asarray(values, np.float64)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / size) if size else float("nan")


def interval(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Return what holds 95 % of the correlations over resampled runs (Efron 1979), or NaN."""
    a, b = np.asarray(first), np.asarray(second)
    generator = np.random.default_rng(0)
    drawn = (generator.integers(len(a), size=len(a)) for _ in range(RESAMPLES))
    found = [value for rows in drawn if np.isfinite(value := spearman(a[rows], b[rows]))]
    low, high = np.percentile(found, (2.5, 97.5)) if found else (np.nan, np.nan)
    return float(low), float(high)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum()
    ranks: np.ndarray = ((last - count + last - 1) / 2)[place]
    return ranks


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
