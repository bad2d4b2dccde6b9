"""What the data sets of image files share."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmkit.data.sets.files import Files, Strings, choose_root, present, square_boxes
from lmkit.errors import ExitCode, LmkitError


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


def test_boxes_move_points_and_repeat_edges(draw, tmp_path):
    draw(tmp_path / "a.png", (6, 4), [(5, 3)])
    points = np.array([[[5, 3]], [[5, 3]], [[np.nan, np.nan]]])
    boxes = np.array([[4, 2, 3, 4], [-2, 0, 8, 4], [0, 0, 100, 1]])
    data = Files(tmp_path, ["a.png"] * 3, keys=["a", "b", "c"], points=points, boxes=boxes)
    np.testing.assert_array_equal(data.annotation(0).points, [[1, 1]])
    np.testing.assert_array_equal(
        data.image(0)[:, :, 0], [[0, 0, 0], [0, 9, 9], [0, 9, 9], [0, 9, 9]]
    )
    np.testing.assert_array_equal(data.annotation(1).points, [[7, 3]])
    assert data.image(1)[3, 7, 0] == 9
    assert data.annotation(2).points is None
    assert [data.group(index) for index in range(3)] == ["a.png"] * 3
    with pytest.raises(OSError, match="its box of 100 x 1 pixels is far larger"):
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


def test_presence_is_looked_up_in_every_folder(draw, tmp_path):
    for name in ("a.png", "deep/b.png"):
        draw(tmp_path / name, (2, 2))
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "e.png").symlink_to(tmp_path / "nothing")
    files = ["a.png", "deep/b.png", "c.png", "d.png", "e.png", "none/f.png", "./a.png"]
    files.append(str(tmp_path / "a.png"))
    there, notes = present(tmp_path, files, listed_by="the list", remedy="Look.")
    assert there.tolist() == [True, True, False, True, False, False, True, True]
    assert notes == (
        f"3 of the 8 images that the list lists are not in {tmp_path} and are left out: "
        "c.png, e.png, none/f.png.",
    )
    assert choose_root([tmp_path / "none", tmp_path / "deep", tmp_path], ["b.png"]).name == "deep"
    assert choose_root([tmp_path / "none", tmp_path], ["z.png"]).name == "none"
    for listed, problem in (([], "the list lists no image"), (["z.png"], "such as z.png")):
        with pytest.raises(LmkitError, match=problem) as caught:
            present(tmp_path, listed, listed_by="the list", remedy="Look.")
        assert caught.value.remedy == "Look."
        assert caught.value.code == ExitCode.DATA
