"""The sheets of an evaluation: each face in its place, colours that stay with landmarks."""

from dataclasses import replace

import numpy as np
import pytest

from lmkit.data.framing import Framer
from lmkit.data.image_files import load_image
from lmkit.drawing.points import colours
from lmkit.drawing.sheets import GAP, heading, legend
from lmkit.errors import LmkitError
from lmkit.evaluation import figures
from lmkit.evaluation.figures import (
    LARGE_SIDE,
    Seen,
    compared_sheet,
    evenly,
    extremes_sheet,
    faces_sheet,
    write_figures,
)
from lmkit.evaluation.protocol import Protocol, evaluate
from lmkit.preparation.of_run import own_data
from lmkit.run.run import open_run

FACE_SIDE = 60


def faces(count):
    return [np.full((FACE_SIDE, FACE_SIDE, 3), 40 + number, np.uint8) for number in range(count)]


def cell(image, row, column, top=0):
    y, x = top + row * (FACE_SIDE + GAP), column * (FACE_SIDE + GAP)
    return np.asarray(image)[y : y + FACE_SIDE, x : x + FACE_SIDE]


@pytest.mark.parametrize("landmarks", [3, 50])
def test_the_same_landmark_has_the_same_colour_on_every_face(landmarks):
    places = np.random.default_rng(0).permutation(81)[:landmarks]
    grid = np.stack([places % 9, places // 9], axis=1) * 6.0 + 6
    points = np.stack([np.roll(grid, number, axis=0) for number in range(5)])
    drawn = faces_sheet(faces(5), points, 2)
    for number in range(5):
        own = cell(drawn, *divmod(number, 2))
        assert tuple(own[0, 0]) == (40 + number,) * 3
        for colour, (x, y) in zip(colours(landmarks), points[number].astype(int), strict=True):
            assert tuple(own[y, x]) == colour
    assert drawn.height == 3 * (FACE_SIDE + GAP) + legend(landmarks, drawn.width).height


def test_a_sheet_is_no_wider_than_its_faces():
    drawn = faces_sheet(faces(3), np.zeros((3, 1, 2)), 8)
    assert drawn.width == 3 * (FACE_SIDE + GAP) - GAP


def test_the_best_stand_above_the_worst():
    points = np.full((6, 2, 2), 30.0)
    truth = points.copy()
    truth[3:, 1] = (50, 10)
    truth[4] = np.nan
    drawn = extremes_sheet(faces(6), points, truth, [1, 2, 3, 40, 50, 60], 2)
    heading = (drawn.height - 4 * FACE_SIDE - 5 * GAP) // 2
    second = 2 * heading + 2 * FACE_SIDE + 4 * GAP
    for number in range(3):
        row, column = divmod(number, 2)
        best = cell(drawn, row, column, top=heading + GAP)
        assert tuple(best[0, 0]) == (40 + number,) * 3
        worst = cell(drawn, row, column, top=second)
        assert tuple(worst[0, 0]) == (43 + number,) * 3
        joined = tuple(worst[20, 40]) == (255, 255, 255)
        assert joined == (number != 1), "points without truth are drawn, and not joined"
        assert tuple(worst[30, 30]) == colours(2)[1]


def test_two_faces_are_enough_and_one_is_among_the_worst():
    assert (
        extremes_sheet(faces(2), np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), [1, 2]).width
        == FACE_SIDE
    )
    assert (
        extremes_sheet(faces(1), np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), [1]).width == FACE_SIDE
    )


def test_runs_stand_in_rows_over_the_same_faces():
    points = np.full((3, 2, 2), 30.0)
    more = np.full((3, 4, 2), 20.0)
    drawn = compared_sheet([("first", faces(3), points), ("second", faces(3), more)])
    title = heading("first", 100).height + GAP
    for row, (own, place) in enumerate(((points, 30), (more, 20))):
        top = title + row * (title + FACE_SIDE + GAP)
        for number in range(3):
            face = cell(drawn, 0, number, top=top)
            assert tuple(face[0, 0]) == (40 + number,) * 3
            assert tuple(face[place, place]) == colours(4)[own.shape[1] - 1]
    assert drawn.height == 2 * (title + FACE_SIDE + GAP) + legend(4, drawn.width).height


def test_places_are_spread_evenly():
    assert evenly(3, 8) == [0, 1, 2]
    assert evenly(8, 4) == [0, 2, 4, 6]
    assert evenly(1000, 3) == [0, 333, 666]


@pytest.fixture(scope="module")
def measured(trained):
    """A report with its dataset."""
    run = open_run(trained)
    ready = own_data(run)
    report = evaluate(run, ready, Protocol(labelled=(1, 5), stability=0))
    return report, ready.dataset


@pytest.mark.parametrize("framer", [Framer(32), Framer(32, "pad"), Framer(32, "stretch")])
def test_points_are_drawn_where_they_are_in_the_enlarged_image(measured, framer):
    report, dataset = measured
    seen = Seen(replace(report, framer=framer), dataset, [2, 0], 64)
    assert seen.rows == [2, 0]
    assert [image.shape for image in seen.images] == [(64, 64, 3)] * 2
    # The images are square and of 32 pixels: each pixel is two by two.
    assert seen.place(report.truth) == pytest.approx((report.truth[[2, 0]] + 0.5) * 2 - 0.5)


def test_every_image_of_an_evaluation_is_written(measured, tmp_path):
    pytest.importorskip("matplotlib")
    report, dataset = measured
    written = write_figures(report, dataset, tmp_path / "new" / "folder")
    names = ["faces.png", "best-and-worst.png", "cumulative-error.png", "labelled-images.png"]
    assert [path.name for path in written] == names
    for path in written:
        assert load_image(path).std() > 10
    assert load_image(written[1]).shape[1] == 2 * (LARGE_SIDE + GAP) - GAP
    few = write_figures(replace(report, labelled=[]), dataset, tmp_path)
    assert [path.name for path in few] == names[:3]


def test_the_best_and_the_worst_are_found(measured, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "EXTREMES", 1)
    monkeypatch.setattr(
        figures,
        "extremes_sheet",
        lambda *given: shown.append(given) or faces_sheet(faces(1), np.zeros((1, 1, 2))),
    )
    report, dataset = measured
    write_figures(report, dataset, tmp_path)
    ((images, _, _, errors),) = shown
    assert len(images) == 2
    assert errors == [report.per_image.min(), report.per_image.max()]


def test_one_test_image_is_enough(trained, tmp_path):
    run = open_run(trained)
    ready = own_data(run)
    one = replace(ready, split=replace(ready.split, test=ready.split.test[:1]))
    report = evaluate(run, one, Protocol(labelled=(), stability=0))
    written = write_figures(report, ready.dataset, tmp_path)
    assert load_image(written[1]).shape[1] == LARGE_SIDE


def test_without_matplotlib_there_are_sheets_and_no_charts(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "can_plot", lambda: False)
    written = write_figures(*measured, tmp_path)
    assert [path.name for path in written] == ["faces.png", "best-and-worst.png"]


def test_a_folder_that_cannot_be_written_is_said(measured, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LmkitError, match="cannot be written"):
        write_figures(*measured, tmp_path / "file")
