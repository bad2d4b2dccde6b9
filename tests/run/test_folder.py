"""The small files of a run's folder."""

import json

import pytest

from lmkit.run.folder import RunFolder

GOOD = [{"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.25}, {"step": 6, "loss": 0.125}]
DAMAGE = [
    b'{"step": 6, "lo',
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b'{"loss": 1}',
    b'{"step": "six"}',
    b"[" * 100_000,
    b"1" * 5_000,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_damaged_line_of_metrics_costs_that_line_alone(damage, place, tmp_path):
    folder = RunFolder(tmp_path)
    lines = [json.dumps(line).encode() for line in GOOD]
    lines.insert(place, damage)
    folder.metrics.write_bytes(b"\n".join(lines) + b"\n")
    assert folder.read_metrics() == GOOD
    folder.cut_metrics(4)
    assert folder.metrics.read_text() == "".join(json.dumps(line) + "\n" for line in GOOD[:2])


def test_where_there_are_no_metrics_there_is_nothing_to_read_or_cut(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_metrics() == []
    folder.cut_metrics(4)
    assert not folder.metrics.exists()
