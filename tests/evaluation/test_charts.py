"""The charts: what is drawn where, read off matplotlib's own objects."""

import numpy as np
import pytest

from lmkit.data.image_files import load_image
from lmkit.errors import LmkitError
from lmkit.evaluation import charts

pytest.importorskip("matplotlib")

UNIT = "percent of the distance between left eye and right eye"


@pytest.fixture
def drawn(monkeypatch):
    """Keep the axes of every chart that is drawn."""
    found = []
    finish = charts._finish

    def keep(figure, axes, path):
        found.append(axes)
        finish(figure, axes, path)

    monkeypatch.setattr(charts, "_finish", keep)
    return found


def words(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def cumulative(path):
    errors = {"run": np.array([2.0, 8, 4, 12]), "mean shape": np.array([9.0, 11, 13, 30])}
    areas = {"run": 0.4, "mean shape": 0.025}
    charts.plot_cumulative(path, errors, areas=areas, threshold=10, unit=UNIT)


def labelled(path):
    charts.plot_labelled(
        path, [1, 10, 300], [30, 20, 10], [5, 2, 0], name="run", mean_shape=14, unit=UNIT
    )


def test_the_cumulative_curve_steps_up_at_each_image(drawn, tmp_path):
    cumulative(tmp_path / "chart.png")
    (axes,) = drawn
    run, mean_shape, threshold = axes.get_lines()
    assert list(run.get_xdata())[:5] == [0, 2, 4, 8, 12]
    assert list(run.get_ydata()) == [0, 25, 50, 75, 100, 100]
    assert mean_shape.get_linestyle() == "--"
    assert set(threshold.get_xdata()) == {10}
    assert words(axes) == [
        "run: AUC 40.0 %, failures 25.0 %",
        "mean shape: AUC 2.5 %, failures 75.0 %",
    ]
    assert UNIT in axes.get_xlabel()
    assert axes.get_xlim()[1] >= 15


def test_the_error_falls_with_labelled_images_on_a_logarithmic_axis(drawn, tmp_path):
    labelled(tmp_path / "chart.png")
    (axes,) = drawn
    assert axes.get_xscale() == "log"
    means, mean_shape = axes.get_lines()
    assert list(means.get_xdata()) == [1, 10, 300]
    assert list(means.get_ydata()) == [30, 20, 10]
    assert set(mean_shape.get_ydata()) == {14}
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(1, 25), (1, 35), (10, 18), (10, 22), (300, 10)} <= corners
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "300"]
    assert axes.get_ylim()[0] == 0
    assert UNIT in axes.get_title(loc="left")
    assert words(axes) == ["run, ± 1 sd of draws", "mean shape: 14.0 %"]


def test_numbers_of_images_that_would_overlap_are_not_all_named():
    assert charts._apart([1, 5, 10, 100]) == [1, 5, 10, 100]
    assert charts._apart([1, 500, 1000, 1100]) == [1, 500, 1100]
    assert charts._apart([7]) == [7]


@pytest.mark.parametrize("draw", [cumulative, labelled])
def test_charts_are_images_and_equal_ones_are_equal_files(draw, tmp_path):
    for name in ("a.png", "b.png"):
        draw(tmp_path / name)
    image = load_image(tmp_path / "a.png")
    assert image.shape == (630, 960, 3)
    assert image.std() > 10
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_global_is_left_behind(tmp_path):
    import sys

    before = "matplotlib.pyplot" in sys.modules
    cumulative(tmp_path / "chart.png")
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    assert not charts.can_plot()
    with pytest.raises(LmkitError, match="Charts need matplotlib") as caught:
        cumulative(tmp_path / "chart.png")
    assert "pip install 'lmkit[plots]'" in caught.value.remedy
    assert not (tmp_path / "chart.png").exists()


def test_a_chart_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(LmkitError, match="cannot be written"):
        cumulative(tmp_path / "absent" / "chart.png")
