"""Charts of an evaluation, drawn by matplotlib where it is installed."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmkit.engine.folder import storage
from lmkit.errors import LmkitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that also colour-blind readers tell apart (Okabe and Ito)."""
GREY = "#767676"

ADVICE = "pip install 'lmkit[plots]'"
"""What brings matplotlib."""


def can_plot() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot_cumulative(
    path: Path,
    errors: Mapping[str, NDArray[np.floating]],
    *,
    areas: Mapping[str, float],
    threshold: float,
    unit: str,
) -> None:
    """Draw the share of pictures whose error is at most so much.

    Args:
        path: The file to write, a PNG.
        errors: By what they are of, (N,) errors of pictures in percent; what is called
            ``mean shape`` is drawn in grey.
        areas: For each, the area under its curve up to the threshold, in [0, 1].
        threshold: The error in percent above which a picture counts as failed.
        unit: What the errors are measured in.

    Raises:
        LmkitError: If matplotlib is missing, or the file cannot be written.
    """
    figure, axes = _begin()
    everything = np.concatenate(list(errors.values()))
    end = max(1.5 * threshold, float(np.percentile(everything, 90)))
    for number, (name, own) in enumerate(errors.items()):
        reached = np.sort(own)
        shares = np.arange(1, len(reached) + 1) / len(reached)
        failed = float((own > threshold).mean())
        axes.step(
            [0, *reached, max(end, reached[-1])],
            [0, *100 * shares, 100],
            where="post",
            label=f"{name}: AUC {areas[name]:.3f}, failures {100 * failed:.1f} %",
            **_style(name, number),
        )
    axes.axvline(threshold, color=GREY, linewidth=1, linestyle=":")
    axes.annotate(
        f"failure above {threshold:g} %",
        (threshold, 2),
        xytext=(4, 0),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
    )
    axes.set(xlim=(0, end), ylim=(0, 100), ylabel="pictures with at most this error, %")
    axes.set_xlabel("error of a picture, %")
    _finish(figure, axes, path, unit)


def plot_labelled(
    path: Path,
    counts: Sequence[int],
    means: Sequence[float],
    deviations: Sequence[float],
    *,
    name: str,
    mean_shape: float,
    unit: str,
) -> None:
    """Draw the error against the number of labelled pictures that the regressor was fitted on.

    Published figures are not drawn beside it: their crops and pictures are others, and a common
    axis would say that they can be compared.

    Args:
        path: The file to write, a PNG.
        counts: Numbers of labelled pictures, ascending.
        means: The mean error over the draws of so many, in percent.
        deviations: The standard deviation over the draws; 0 where there is one draw.
        name: What the errors are of.
        mean_shape: The mean shape's error in percent.
        unit: What the errors are measured in.

    Raises:
        LmkitError: If matplotlib is missing, or the file cannot be written.
    """
    figure, axes = _begin()
    middle, spread = np.asarray(means), np.asarray(deviations)
    axes.fill_between(
        counts, middle - spread, middle + spread, color=PALETTE[0], alpha=0.2, linewidth=0
    )
    axes.plot(counts, middle, marker="o", label=f"{name}, ± 1 sd of draws", **_style(name, 0))
    axes.axhline(mean_shape, label=f"mean shape: {mean_shape:.1f} %", **_style("mean shape", 0))
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    axes.set(xlabel="labelled pictures", ylabel="error, %")
    _finish(figure, axes, path, unit)


def _begin() -> "tuple[Figure, Axes]":
    if not can_plot():
        raise LmkitError("Charts need matplotlib, which is not installed.", remedy=f"{ADVICE}.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _style(name: str, number: int) -> dict[str, Any]:
    if name == "mean shape":
        return {"color": GREY, "linestyle": "--", "linewidth": 1.4}
    return {"color": PALETTE[number % len(PALETTE)], "linewidth": 2}


def _finish(figure: "Figure", axes: "Axes", path: Path, unit: str) -> None:
    axes.set_title(f"errors in {unit}", loc="left", fontsize=8, color=GREY)
    axes.legend(frameon=False, fontsize=9)
    with storage(path):
        # No time and no version in the file: equal results give equal files.
        figure.savefig(path, metadata={"Software": None})
