"""Images with a .pts file beside each."""

from pathlib import Path

import numpy as np
import pytest

from lmkit.data.sets.ibug import IBug
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError

POINTS = [(3, 2), (7, 2), (5, 6)]


def pts(points, *, head="version: 1\nn_points:  {}\n{{\n", end="}\n") -> str:
    lines = "".join(f"{x:f} {y:f}\n" for x, y in points)
    return head.format(len(points)) + lines + end


def one_based(points):
    return [(x + 1, y + 1) for x, y in points]


@pytest.fixture
def place(draw):
    def write(root: Path, *files: str, text: str = pts(one_based(POINTS))) -> Path:
        for file in files:
            draw(root / file, (12, 10), POINTS)
            (root / file).with_suffix(".pts").write_text(text)
        return root

    return write


def test_points_count_from_one_unless_told_otherwise(place, seen, tmp_path):
    data = IBug(path=place(tmp_path, "a.jpg", "deep/b_1.png"))
    assert [data.key(0), data.key(1)] == ["a.jpg", "deep/b_1.png"]
    assert seen(data, 0) == seen(data, 1) == [0, 1, 2]
    np.testing.assert_array_equal(data.annotation(1).points, POINTS)
    assert data.point_names == ("0", "1", "2")
    assert data.notes == ()
    place(tmp_path, "a.jpg", "deep/b_1.png", text=pts(POINTS))
    assert seen(IBug(path=tmp_path, one_based=False), 0) == [0, 1, 2]


def test_the_common_split_is_found_at_any_depth(place, tmp_path):
    folders = ["afw", "Helen/trainset", "Helen/testset", "lfpw/trainset", "lfpw/testset", "ibug"]
    files = [f"{above}{folder}/1.jpg" for folder in folders for above in ("", "x/300W/")]
    place(tmp_path, *files, "03_other/1.jpg")
    data = IBug(path=tmp_path)
    keys = {part: {data.key(i) for i in data.indices(part)} for part in ("train", "fit", "test")}
    assert keys["train"] == keys["fit"] == {f for f in files if "train" in f or "afw" in f}
    assert keys["test"] == {f for f in files if "test" in f or "ibug" in f}
    assert data.notes == ("1 images are outside of 300-W's folders, and in no part.",)
    one = IBug(path=tmp_path / "x/300W/Helen")
    assert (one.indices("train"), one.indices("test")) == ([1], [0])


def test_a_share_is_held_out_where_the_folders_do_not_say(place, tmp_path):
    data = IBug(path=place(tmp_path, *(f"ibug/{number}.jpg" for number in range(9))))
    assert data.indices("test") is None
    split = make_split(data, held_out=0.3, seed=0)
    assert split.test
    assert split.fit == split.train


def test_what_stands_alone_is_noted(place, draw, tmp_path):
    place(tmp_path, "a.jpg")
    draw(tmp_path / "b.jpg", (4, 4))
    (tmp_path / "c.pts").write_text("not even read")
    data = IBug(path=tmp_path)
    assert data.notes == (
        "1 .pts files have no image beside them: c.pts.",
        "1 images have no .pts file beside them.",
    )
    assert data.annotation(1).points is None
    assert make_split(data, held_out=0, seed=0).fit == [0]


def test_of_68_points_the_outer_eye_corners_normalise(place, tmp_path):
    data = IBug(path=place(tmp_path, "a.jpg", text=pts([(n, n) for n in range(68)])))
    assert data.normalising_pair == (36, 45)
    assert IBug(path=tmp_path, normalising_pair=(1, 2)).normalising_pair == (1, 2)
    with pytest.raises(LmkitError, match="Points 0 and 68 cannot"):
        IBug(path=tmp_path, normalising_pair=(0, 68))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: 'n_points: P' should stand here"),
        (pts(POINTS, head="version: 1\n{{\n"), "line 1: 'n_points"),
        (pts(POINTS, head="version: 1\nn_points: many\n{{\n"), "line 2: 'n_points"),
        (pts(POINTS, head="version: 1\nn_points: 3\n"), "line 3: '{' should stand here"),
        (pts(POINTS, end=""), "line 6: the file ends without '}'"),
        (pts(POINTS, head="version: 1\nn_points: 4\n{{\n"), "line 7: 4 points are announced, n"),
        (pts([(1, 2), (3, float("nan"))]), "line 5: '3.000000 nan' is not the x and y"),
        (pts([(1, 2)], end="3\n}\n"), "line 5: '3' is not the x and y"),
        (pts([(1, 2)], end="3 4 5\n}\n"), "line 5: '3 4 5' is not the x and y"),
        (pts(POINTS[:2]), "has 2 points, but most have 3"),
        (pts(POINTS).replace("n_points:  3", "n_points: " + "9" * 5000), "line 2: 'n_points"),
        (pts(POINTS).replace("3.000000", "1e39"), "line 4: '1e39 2.000000' is not the x and y"),
        (pts(POINTS).replace("3.000000", "9" * 5000), "is not the x and y"),
    ],
)
def test_images_with_a_malformed_file_are_left_out(place, left_out, tmp_path, text, problem):
    place(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "b.pts").write_text(text)
    data = IBug(path=tmp_path)
    (told,) = left_out(data)
    assert told.startswith("b.jpg (b.pts")
    assert problem in told
    assert len(told) < 300
    assert make_split(data, held_out=0, seed=0, unreadable=[1]).fit == [0, 2]


def test_of_malformed_files_alone_one_is_named(place, tmp_path):
    place(tmp_path, "a.jpg", text="words")
    with pytest.raises(LmkitError, match=r"No .pts file .* can be used: a.pts, line 1: 'n_points"):
        IBug(path=tmp_path)
    (tmp_path / "a.pts").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LmkitError, match="cannot be read as a list") as caught:
        IBug(path=tmp_path)
    assert caught.value.code == ExitCode.DATA


def test_no_annotation_at_all_is_refused(draw, tmp_path):
    draw(tmp_path / "a.jpg", (4, 4))
    with pytest.raises(LmkitError, match=r"No image in .* has a .pts file") as caught:
        IBug(path=tmp_path)
    assert ".pts file beside each" in caught.value.remedy
    with pytest.raises(LmkitError, match="does not exist"):
        IBug(path=tmp_path / "nowhere")
