"""Charts of an evaluation, drawn by matplotlib where it is installed."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import LmkitError
from lmkit.storage import storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that also colour-blind readers tell apart (Okabe and Ito)."""
GREY = "#767676"
MEAN_SHAPE = "mean shape"
"""What is drawn in grey."""
LEFT_OUT = "Charts are left out, they need matplotlib: pip install 'lmkit[plots]'"
"""What to say where [can_plot][lmkit.evaluation.charts.can_plot] is false."""


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
    """Draw the share of images whose error is at most so much.

    Args:
        path: The file to write, a PNG.
        errors: By what they are of, (N,) errors of images in percent; that of
            [MEAN_SHAPE][lmkit.evaluation.charts.MEAN_SHAPE] is drawn in grey.
        areas: For each, the area under its curve up to the threshold, as a share.
        threshold: The error in percent above which an image counts as failed.
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
        failed = float(100 * (own > threshold).mean())
        axes.step(
            [0, *reached, max(end, reached[-1])],
            [0, *100 * shares, 100],
            where="post",
            label=f"{name}: AUC {100 * areas[name]:.1f} %, failures {failed:.1f} %",
            **_style(name, number),
        )
    axes.axvline(threshold, color=GREY, linewidth=1, linestyle=":")
    axes.text(
        threshold,
        1.01,
        f"failure above {threshold:g} %",
        transform=axes.get_xaxis_transform(),
        color=GREY,
        fontsize=8,
        ha="left" if threshold < end / 2 else "center",
    )
    axes.set(xlim=(0, end), ylim=(0, 100), ylabel="images with at most this error, %")
    axes.set_xlabel(f"error of an image, {unit}")
    _finish(figure, axes, path)


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
    """Draw the error against the number of labelled images that the regressor was fitted on.

    Published figures are not drawn beside it: their crops and images are others, and a common
    axis would say that they can be compared.

    Args:
        path: The file to write, a PNG.
        counts: Numbers of labelled images, ascending.
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
    axes.axhline(mean_shape, label=f"mean shape: {mean_shape:.1f} %", **_style(MEAN_SHAPE, 0))
    axes.set_xscale("log")
    told = _apart(counts)
    axes.set_xticks(told, [f"{count:,}" for count in told])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    axes.set(xlabel="labelled images", ylabel="error, %")
    axes.set_title(f"errors in {unit}", loc="left", fontsize=8, color=GREY)
    _finish(figure, axes, path)


def plot_reliability(
    path: Path,
    confidence: Sequence[float],
    errors: Sequence[float],
    calibration: Sequence[tuple[float, float]],
    *,
    unit: str,
) -> None:
    """Draw the error of landmarks against their confidence.

    Args:
        path: The file to write, a PNG.
        confidence: The mean confidence of each group of test landmarks, ascending.
        errors: Their mean error in percent.
        calibration: Pairs of confidence and error: what was expected.
        unit: What the errors are measured in.

    Raises:
        LmkitError: If matplotlib is missing, or the file cannot be written.
    """
    figure, axes = _begin()
    sure, expected = np.array(calibration).T
    axes.plot(sure, expected, label="expected, from the images to fit", **_style(MEAN_SHAPE, 0))
    axes.plot(confidence, errors, marker="o", label="test images", **_style("", 0))
    axes.set_ylim(0, None)
    axes.set(xlabel="confidence of a landmark", ylabel="error, %")
    axes.set_title(f"errors in {unit}", loc="left", fontsize=8, color=GREY)
    _finish(figure, axes, path)


def _begin() -> "tuple[Figure, Axes]":
    if not can_plot():
        raise LmkitError(
            "Charts need matplotlib, which is not installed.", remedy="pip install 'lmkit[plots]'."
        )
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
    if name == MEAN_SHAPE:
        return {"color": GREY, "linestyle": "--", "linewidth": 1.4}
    return {"color": PALETTE[number % len(PALETTE)], "linewidth": 2}


def _apart(counts: Sequence[int]) -> list[int]:
    """Return the numbers whose names do not overlap on a logarithmic axis; the last is kept."""
    kept: list[int] = []
    for count in reversed(counts):
        if not kept or count * 1.6 < kept[0]:
            kept.insert(0, count)
    return kept


def _finish(figure: "Figure", axes: "Axes", path: Path) -> None:
    axes.legend(fontsize=9, edgecolor="none", framealpha=0.85)
    with storage(path):
        # No time and no version in the file: equal results give equal files.
        figure.savefig(path, metadata={"Software": None})
