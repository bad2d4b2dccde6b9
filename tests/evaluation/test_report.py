import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from lmkit.data.framing import Framer
from lmkit.errors import ExitCode, LmkitError
from lmkit.evaluation.controls import Controls
from lmkit.evaluation.faults import Faults
from lmkit.evaluation.labelled import Labelled
from lmkit.evaluation.landmarks import Health
from lmkit.evaluation.measures import Curve, Interval
from lmkit.evaluation.regression import JAKAB2018, LMKIT
from lmkit.evaluation.report import EvaluationReport, folder_name


def report(**changes):
    """A report of three images and two points, one of them known in two."""
    errors = np.array([[1.0, 3.0], [5.0, np.nan], [2.0, 2.0]])
    parts = {
        "keys": ["a,b.png", "d\udce9.png", "c.png"],
        "indices": [4, 5, 6],
        "errors": errors,
        "predictions": np.zeros((3, 2, 2)),
        "truth": np.ones((3, 2, 2)),
        "detections": np.zeros((3, 1, 2)),
        "convention": LMKIT,
        "by_convention": {"lmkit": 3.0, "jakab2018": 4.0},
        "with_bias": LMKIT,
        "without_bias": JAKAB2018,
        "interval": Interval(2.0, 5.0),
        "backward": None,
        "backward_per_landmark": None,
        "mean_shape_errors": np.array([9.0, 12.0, 12.0]),
        "curve": Curve.of(np.array([2.0, 5.0, 2.0]), 4.0),
        "stability": None,
        "labelled": [Labelled(1, 2, 1, 7.5, None)],
        "health": Health([5.0], [0.0], [0.5], [False], [False], []),
        "faults": Faults(*(np.zeros((3, 1), bool) for _ in range(3))),
        "controls": Controls(),
        "judgement": None,
        "fit_images": 10,
        "test_images": 3,
        "complete_images": 2,
        "without_pair": 1,
        "point_names": ["left", "right"],
        "normalised_by": ("left", "right"),
        "framer": Framer(64, "crop"),
        "data": "csv",
        "step": 7,
        "seed": 0,
        "unreadable": 0,
        "notes": ["a note"],
        "remarks": ["a remark"],
    }
    return EvaluationReport(**{**parts, **changes})


def test_an_images_error_is_the_mean_of_its_known_points_and_the_figure_the_mean_of_these():
    made = report()
    assert made.per_image.tolist() == [2, 5, 2]
    assert made.forward == 3
    assert made.forward_per_point == pytest.approx([8 / 3, 2.5])
    assert made.mean_shape == 11


def test_the_files(tmp_path):
    made = report()
    figures, errors = made.write(tmp_path / "new" / "folder")
    assert json.loads(figures.read_text()) == made.to_dict()
    with errors.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["file", "nme", "left", "right"],
        ["a,b.png", "2.000000", "1.000000", "3.000000"],
        ["d\\xe9.png", "5.000000", "5.000000", ""],
        ["c.png", "2.000000", "2.000000", "2.000000"],
    ]
    assert np.mean([float(row[1]) for row in rows[1:]]) == made.to_dict()["forward"]["nme"]
    assert sorted(path.name for path in figures.parent.iterdir()) == [
        "errors.csv",
        "evaluation.json",
    ]


def test_what_is_not_a_number_is_none_in_json():
    made = report(errors=np.array([[1.0, np.nan]] * 3)).to_dict()
    assert made["forward"]["per_point"] == {"left": 1.0, "right": None}
    assert made["labelled"] == [{"number": 1, "images": 2, "draws": 1, "nme": 7.5, "sd": None}]
    assert made["notes"] == ["a note", "a remark"]
    json.dumps(made, allow_nan=False)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LmkitError, match="cannot be written") as caught:
        report().write(tmp_path / "file")
    assert caught.value.code == ExitCode.STORAGE


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"name": "celeba", "path": "/data/lfw"}, "celeba-lfw"),
        ({"name": "csv", "path": "/data/My Faces/annotations.csv"}, "csv-my-faces-annotations"),
        ({"name": "faces", "count": 40}, "faces"),
        ({"name": "lmkit_other/videos", "path": "/d/Zoë.v2"}, "lmkit-other-videos-d-zo"),
        ({"name": "folder", "path": "/" + 300 * "x"}, "folder-" + 53 * "x"),
    ],
)
def test_a_folders_name_is_readable_and_safe(data, name):
    given = folder_name(data)
    assert given.rpartition("-")[0] == name
    assert all(character.isalnum() or character == "-" for character in given)
    assert given.isascii()


def test_different_data_has_different_folders():
    sections = [
        {"name": "csv", "path": "/a/x/t.csv"},
        {"name": "csv", "path": "/b/x/t.csv"},
        {"name": "csv", "path": "/a/x/t.csv", "root": "/c"},
    ]
    assert len({folder_name(data) for data in sections}) == 3
    assert folder_name(sections[0]) == folder_name(dict(reversed(sections[0].items())))


def test_an_error_no_better_than_the_mean_shape_is_warned_about():
    assert report().to_dict()["warnings"] == []
    made = report(mean_shape_errors=np.array([3.0, 3.0, 3.0]))
    assert made.warnings() == ["The error is no better than that of the mean shape."]
    assert made.to_dict()["warnings"] == made.warnings()


def lines_of(made, capsys):
    from lmkit.cli.evaluation_report import print_report

    print_report(made)
    out = capsys.readouterr().out
    assert all(line == line.rstrip() for line in out.splitlines())
    return " ".join(out.split())


def test_on_the_terminal(capsys):
    said = lines_of(report(), capsys)
    for words in (
        "error, percent of the distance between left and right NME % 95 % interval",
        "forward, with bias (lmkit) 3.00 2.00 to 5.00",
        "forward, without bias (jakab2018) 4.00 mean shape 11.00",
        "failures, images with an error above 4 % 33.3 %",
        "area under the error curve up to 4 % 33.3 %",
        "spread of the landmarks, mean 5.0 % of the side",
        "left 2.67 right 2.50",
        "1 (fitted on 2) 7.50 all 10 3.00",
        "Fitted on 10 and tested on 3 images of csv, framed by 'crop', after 7 steps; seed 0.",
        "Convention lmkit: with bias, ridge 0.0001 of the mean variance.",
        "Left out, because left and right are not both known: 1 test image.",
        "a remark",
    ):
        assert words in said
    assert "backward" not in said
    assert "Warning" not in said


def test_of_many_points_the_terminal_shows_the_worst(capsys):
    errors = np.tile(np.arange(68.0), (3, 1))
    errors[:, 67] = np.nan
    names = [f"p{number}" for number in range(68)]
    said = lines_of(report(errors=errors, point_names=names), capsys)
    assert "worst 5 of 68 annotated points" in said
    assert "p66 66.00 p65 65.00 p64 64.00 p63 63.00 p62 62.00" in said
    assert "p61" not in said


def test_the_terminal_warns_and_marks_the_main_figure(capsys):
    health = Health([0.0], [0.0], [None], [True], [True], [])
    changes = {"health": health, "convention": JAKAB2018, "backward": 6.0, "labelled": []}
    said = lines_of(report(**changes, stability=SimpleNamespace(mean=1.5, images=9)), capsys)
    assert "forward, with bias (lmkit) 3.00 forward, without bias (jakab2018) 4.00 2.00 to" in said
    assert "backward, from annotated points to landmarks 6.00" in said
    assert "stability, 9 turned images 1.50 pixels of 128" in said
    assert "Warning: 1 of 1 landmarks (0) sits at the centre in every image" in said
    assert "labelled images" not in said
