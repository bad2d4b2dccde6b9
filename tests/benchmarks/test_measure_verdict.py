"""The rank correlation of what is told without annotation with the error."""

from pathlib import Path

import numpy as np
import pytest

from lmkit.storage import read_json, write_json

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def tool():
    """Import the tool, which is no part of the package, from where it lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import measure_verdict

        yield measure_verdict


def test_the_rank_correlation_is_spearmans(tool):
    rising = [1.0, 2.0, 3.0, 10.0]
    assert tool.spearman(rising, np.exp(rising)) == pytest.approx(1)
    assert tool.spearman(rising, rising[::-1]) == pytest.approx(-1)
    # By hand: ranks 1 2 3 4 5 beside 2 1 4 3 5, so 1 - 6 * 4 / (5 * 24).
    assert tool.spearman([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]) == pytest.approx(0.8)
    # Equal values share their ranks: 1.5 1.5 3 beside 1 2 3.
    assert tool.spearman([4, 4, 5], [1, 2, 3]) == pytest.approx(0.75**0.5)
    assert np.isnan(tool.spearman([1, 1, 1], [1, 2, 3]))


def test_the_interval_is_around_the_correlation(tool):
    noise = np.random.default_rng(0).normal(size=(2, 40))
    low, high = tool.interval(noise[0], noise[0] + noise[1])
    assert -1 < low < tool.spearman(noise[0], noise[0] + noise[1]) < high < 1


def test_runs_are_measured_once_and_told_by_their_error(tool, trained, tmp_path, capsys):
    words = [str(trained), str(trained.parent), "--out", str(tmp_path), "--images", "3"]
    tool.main(words)
    first = capsys.readouterr().out
    found = read_json(tmp_path / "trained.json")
    assert f"| {found['error']:.2f} |" in first
    assert f"| {found['untrained']:.2f} |" in first
    for number in range(4):
        other = {**found, "run": f"other {number}", "error": 99.0 + number, "score": -number / 10}
        write_json(tmp_path / f"{number}.json", other)
    rows = [read_json(path) for path in sorted(tmp_path.glob("*.json"))]
    text = tool.table(rows)
    assert text.index("| trained |") < text.index("| other 0 |") < text.index("| other 3 |")
    assert "5 runs." in text
    assert "- score: " in text
    write_json(tmp_path / "trained.json", {**found, "run": "as it was read"})
    tool.main(words)
    assert "as it was read" in capsys.readouterr().out
