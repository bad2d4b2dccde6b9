"""What is special about the writer; the rest is checked in test_conformance.py."""

from pathlib import Path

from my_plugin.writer import MetricsTable


def test_a_run_that_goes_on_takes_back_what_it_repeats(tmp_path: Path) -> None:
    """Rows up to its step stay; those of later steps are written again."""
    first = MetricsTable()
    first.started(tmp_path, {}, step=0, steps=4)
    for step in (2, 4):
        first.metrics(step, {"loss": 1 / step})
    second = MetricsTable()
    second.started(tmp_path, {}, step=2, steps=4)
    second.metrics(4, {"loss": 0.125})
    rows = (tmp_path / "metrics.csv").read_text().split()
    assert rows == ["step,name,value", "2,loss,0.5", "4,loss,0.125"]
