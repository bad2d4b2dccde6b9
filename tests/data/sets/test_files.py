"""What the data sets of image files share."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmkit.data.sets.files import Files, Strings, check_margin, square_boxes
from lmkit.errors import LmkitError


def test_strings_are_kept_exactly():
    texts = ["", "a.jpg", "Jos\u00e9/\u4e2d.png", "\udcff.jpg", ""]
    strings = Strings(texts)
    assert [strings[index] for index in range(len(strings))] == texts
    assert len(Strings([])) == 0


def test_a_large_list_is_light_to_hand_on():
    files = [f"{number:06d}.jpg" for number in range(200_000)]
    points = np.zeros((len(files), 5, 2))
    data = Files(Path("root"), files, points=points, subjects=map(str, range(len(files))))
    # Ten bytes a name, six a subject, and eight each to say where they end; forty for the points.
    assert len(pickle.dumps(data)) < 200_000 * 75
    assert data.key(199_999) == "199999.jpg"


def test_it_can_be_handed_to_a_process_that_starts_anew(draw, tmp_path):
    draw(tmp_path / "a.png", (6, 4), [(5, 3)])
    data = Files(tmp_path, ["a.png"], boxes=np.array([[4, 2, 3, 3]]))
    (tmp_path / "data.pickle").write_bytes(pickle.dumps(data))
    script = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).image(0)[:, :, 0])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data.pickle")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{data.image(0)[:, :, 0]}\n"


def test_points_and_boxes_that_can_be_no_part_of_an_image_are_left_out(draw, left_out, tmp_path):
    draw(tmp_path / "a.png", (6, 4), [(5, 3)])
    points = np.array([[[1, 1e39]], [[5, 3]], [[np.inf, 1]], [[5, 3]], [[np.nan, 1]], [[-2e6, 1]]])
    data = Files(tmp_path, ["a.png"] * 6, keys=[*"abcdef"], points=points)
    assert [text[0] for text in left_out(data)] == ["a", "c", "f"]
    assert "its point 0 lies at (1, 1e+39)" in data.problem(0)
    assert np.isfinite(data.annotation(1).points).all()
    boxes = np.array([[0, 0, 6, 4], [60, 0, 6, 4], [-1e300, 0, 6, 4], [0, np.nan, 6, 4]])
    data = Files(tmp_path, ["a.png"] * 4, keys=[*"abcd"], boxes=boxes, sizes=[(6, 4)] * 4)
    assert [text[0] for text in left_out(data)] == ["b", "c", "d"]
    # Where the size is not known, it is found when the image is read.
    data = Files(tmp_path, ["a.png"] * 4, keys=[*"abcd"], boxes=boxes)
    with pytest.raises(OSError, match="lies outside of the image of 6 x 4"):
        data.image(1)


@pytest.mark.parametrize("margin", [0, -1, float("nan"), 1e300])
def test_margins_that_make_no_box_are_refused(margin):
    with pytest.raises(LmkitError, match="cannot be enlarged by a margin"):
        check_margin(margin)


def test_boxes_move_points_and_repeat_edges(draw, tmp_path):
    draw(tmp_path / "a.png", (6, 4), [(5, 3)])
    points = np.array([[[5, 3]], [[5, 3]], [[np.nan, np.nan]]])
    boxes = np.array([[4, 2, 3, 4], [-2, 0, 8, 4], [0, 0, 400, 1]])
    data = Files(tmp_path, ["a.png"] * 3, keys=["a", "b", "c"], points=points, boxes=boxes)
    np.testing.assert_array_equal(data.annotation(0).points, [[1, 1]])
    np.testing.assert_array_equal(
        data.image(0)[:, :, 0], [[0, 0, 0], [0, 9, 9], [0, 9, 9], [0, 9, 9]]
    )
    np.testing.assert_array_equal(data.annotation(1).points, [[7, 3]])
    assert data.image(1)[3, 7, 0] == 9
    assert data.annotation(2).points is None
    assert [data.group(index) for index in range(3)] == ["a.png"] * 3
    with pytest.raises(OSError, match=r"its box of 400 x 1 pixels .* lies outside"):
        data.image(2)


def test_groups_are_subjects_unless_given():
    files = ["a", "b"]
    assert Files(Path(), files, subjects=["ann", ""]).group(0) == "ann"
    assert Files(Path(), files, subjects=["ann", ""]).group(1) is None
    assert Files(Path(), files).group(0) is None
    assert Files(Path(), files, subjects=["ann", ""], groups=["v", "w"]).group(1) == "w"


def test_what_trains_and_is_annotated_fits_unless_given():
    points = np.array([[[1, 2]], [[np.nan, np.nan]], [[3, 4]]])
    masks = {"train": np.array([True, True, False]), "test": np.array([False, False, True])}
    data = Files(Path(), ["a", "b", "c"], points=points, parts=masks)
    assert [data.indices(part) for part in ("train", "fit", "test")] == [[0, 1], [0], [2]]
    masks["fit"] = np.array([False, True, False])
    assert Files(Path(), ["a", "b", "c"], points=points, parts=masks).indices("fit") == [1]


@pytest.mark.parametrize("sides", [1, 2, 3, 7.4, 100])
def test_squares_lie_around_their_centres(sides):
    centres = np.array([[10, 20], [0.5, 0.25], [-3, 7]])
    boxes = square_boxes(centres, np.full(3, sides))
    assert (boxes[:, 2:] == round(sides)).all()
    np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:] / 2 - 0.5, centres, atol=0.5)
