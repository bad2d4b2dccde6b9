"""The file of a map: what is written comes back, and nothing else is believed."""

import json

import numpy as np
import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.points import map as maps
from lmkit.points.map import FittedWith, PointsMap


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return PointsMap(
        ("left_eye", "nose"),
        rng.normal(size=(6, 4)),
        rng.normal(size=4),
        np.array([[0.1, 0.2], [np.nan, np.nan]]),
        "weighted",
        True,
        1e-3,
        12,
        FittedWith("a" * 64, "runs/x", 500),
    )


def test_what_is_written_comes_back(points, tmp_path):
    points.save(tmp_path / "map.json")
    for path in (tmp_path, tmp_path / "map.json"):
        read = PointsMap.read(path)
        assert np.array_equal(read.matrix, points.matrix)
        assert np.array_equal(read.offset, points.offset)
        assert np.array_equal(read.standard_error, points.standard_error, equal_nan=True)
        assert (read.names, read.fitted_with) == (points.names, points.fitted_with)
    assert [each.name for each in tmp_path.iterdir()] == ["map.json"]


def resigned(content):
    content = {key: value for key, value in content.items() if key != "sha256"}
    return {**content, "sha256": maps._digest(content)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: {**c, "offset": [0.0] * 4}, "SHA-256 differs"),
        (lambda c: resigned({**c, "offset": [0.0] * 3}), "shape"),
        (lambda c: resigned({**c, "offset": [float("nan")] * 4}), "not finite"),
        (lambda c: resigned({**c, "names": ["nose", "nose"]}), "one name"),
        (lambda c: resigned({**c, "names": []}), "not names"),
        (lambda c: resigned({**c, "matrix": "x"}), "ValueError"),
        (lambda c: resigned({**c, "detector": None}), "TypeError"),
        (lambda c: resigned({**c, "standard_error": [[-1, 1], [1, 1]]}), "negative"),
        (lambda c: {**c, "format": 2}, "format 2"),
        (lambda c: {"settings": {}}, "lmkit fit"),
        (lambda c: [1], "lmkit fit"),
    ],
)
def test_what_is_damaged_is_refused_with_one_message(points, tmp_path, change, reason):
    file = tmp_path / "map.json"
    points.save(file)
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(LmkitError, match=reason) as refused:
        PointsMap.read(tmp_path)
    assert refused.value.code == ExitCode.RUN
    assert str(file) in refused.value.problem


def test_what_is_cut_short_missing_or_too_large_is_refused(points, tmp_path, monkeypatch):
    file = tmp_path / "map.json"
    with pytest.raises(LmkitError, match="no such file"):
        PointsMap.read(tmp_path)
    points.save(file)
    monkeypatch.setattr(maps, "LARGEST", 100)
    with pytest.raises(LmkitError, match="larger than 100 bytes"):
        PointsMap.read(file)
    monkeypatch.undo()
    file.write_text(file.read_text()[:300])
    with pytest.raises(LmkitError, match="cannot be used"):
        PointsMap.read(file)


def test_the_landmarks_of_another_detector_are_refused(points, tmp_path):
    points.refuse_others(tmp_path, FittedWith("a" * 64, "elsewhere", 1), 3)
    for other, count in ((FittedWith("b" * 64, "runs/y", 7), 3), (points.fitted_with, 4)):
        with pytest.raises(LmkitError, match="runs/x after step 500") as refused:
            points.refuse_others(tmp_path, other, count)
        assert refused.value.code == ExitCode.RUN
