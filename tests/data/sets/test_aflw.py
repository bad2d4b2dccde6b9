"""AFLW as prepared for landmark discovery."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from lmkit.cli.main import main
from lmkit.data.sets.aflw import AFLW
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError

NAMES = {
    "train": ["0/image1_1.jpg", "0/image1_2.jpg", "2/image7_9.jpg"],
    "test": ["3/image4_5.jpg", "3/image4_6.jpg"],
}
POINTS = {  # as (x, y), within 12 x 10 pixels
    part: np.stack([np.arange(5) + offset, np.arange(5)[::-1] + 2], axis=1)
    for part, offset in (("train", 1), ("test", 4))
}


@pytest.fixture
def lay_out(draw):
    def write(root: Path, *, images=True, lists=None, **variables) -> Path:
        for part, names in NAMES.items():
            (root / f"aflw_{part}_images.txt").write_text("".join(f"{n}\n" for n in names))
            gt = np.repeat(POINTS[part][None, :, ::-1], len(names), axis=0)
            content = {"gt": gt.astype(np.uint16), "hw": np.array([[10, 12]] * len(names))}
            if part == "test":
                content |= variables
            savemat(root / f"aflw_{part}_keypoints.mat", content)
            for name in names if images else ():
                draw(root / "output" / name, (12, 10), POINTS[part])
        for name, text in (lists or {}).items():
            (root / f"aflw_{name}_images.txt").write_text(text)
        return root

    return write


def test_points_are_read_exactly_and_parts_are_the_lists(lay_out, seen, tmp_path):
    data = AFLW(path=lay_out(tmp_path))
    assert [data.key(index) for index in range(len(data))] == [*NAMES["train"], *NAMES["test"]]
    np.testing.assert_array_equal(data.annotation(0).points, POINTS["train"])
    assert [seen(data, index) for index in range(5)] == [[0, 1, 2, 3, 4]] * 5
    assert data.annotation(0).subject is None
    assert [data.indices(part) for part in ("train", "fit", "test")] == [
        [0, 1, 2],
        [0, 1, 2],
        [3, 4],
    ]
    make_split(data, held_out=0.1, seed=0)
    assert data.point_names[data.normalising_pair[1]] == "right eye"
    assert data.notes == ()


def test_one_image_a_list_is_enough(lay_out, seen, tmp_path):
    lists = {"test": f"{NAMES['test'][0]}\n"}
    one = {"gt": POINTS["test"][None, :, ::-1], "hw": [[10, 12]]}
    data = AFLW(path=lay_out(tmp_path, lists=lists, **one))
    assert seen(data, 3) == [0, 1, 2, 3, 4]
    assert len(data) == 4


def test_absent_images_are_left_out_with_a_note(lay_out, seen, tmp_path):
    root = lay_out(tmp_path)
    (root / "output" / NAMES["train"][0]).unlink()
    data = AFLW(path=root)
    assert "1 of the 5 images" in data.notes[0]
    assert NAMES["train"][0] in data.notes[0]
    assert (data.indices("train"), data.indices("test")) == ([0, 1], [2, 3])
    assert seen(data, 2) == [0, 1, 2, 3, 4]


def test_an_image_of_another_size_is_not_read(lay_out, draw, tmp_path):
    root = lay_out(tmp_path)
    draw(root / "output" / NAMES["train"][0], (24, 20))
    with pytest.raises(OSError, match="it has 24 x 20 pixels, but was annotated with 12 x 10"):
        AFLW(path=root).image(0)


def test_missing_parts_of_the_layout_are_refused(lay_out, tmp_path):
    with pytest.raises(LmkitError, match="does not exist") as caught:
        AFLW(path=tmp_path / "nowhere")
    assert "aflw_train_keypoints.mat" in caught.value.remedy
    root = lay_out(tmp_path)
    for name in ("aflw_test_keypoints.mat", "aflw_test_images.txt"):
        (root / name).unlink()
        with pytest.raises(LmkitError, match=f"has no {name}"):
            AFLW(path=root)
    (tmp_path / "bare").mkdir()
    bare = lay_out(tmp_path / "bare", images=False)
    with pytest.raises(LmkitError, match="holds none of the 5 images") as caught:
        AFLW(path=bare)
    assert "output" in caught.value.remedy


GT = np.repeat(POINTS["test"][None, :, ::-1].astype(float), 2, axis=0)


@pytest.mark.parametrize(
    ("lists", "variables", "problem", "remedy"),
    [
        ({}, {"gt": GT[:1]}, r"variable gt: it is 5 x 2, but .*lists 2 .*2 x 5 x 2", "Download"),
        ({}, {"gt": GT[:, :4]}, r"variable gt: it is 2 x 4 x 2, but", "each row of gt"),
        ({}, {"gt": np.array([["a" * 2]])}, "variable gt: it is", "Download"),
        ({}, {"hw": [[1, 2, 3]] * 2}, "variable hw: it is 2 x 3", "each row of hw"),
        ({"test": "a.jpg\n\nb.jpg\n"}, {}, "test_images.txt, line 2: it names no", "Remove"),
        ({"test": "a.jpg\na.jpg\n"}, {}, "line 2: a.jpg is listed already, on line 1", "Remove"),
        ({"test": ""}, {}, "line 1: it lists no image", "Download"),
        ({"test": f"a.jpg\n{NAMES['train'][0]}\n"}, {}, "line 2: .* is in aflw_train_i", "Take it"),
    ],
)  # fmt: skip
def test_malformed_files_are_named_with_place_and_remedy(
    lay_out, tmp_path, lists, variables, problem, remedy
):
    root = lay_out(tmp_path, lists=lists, **variables)
    with pytest.raises(LmkitError, match=problem) as caught:
        AFLW(path=root)
    assert "aflw_test_" in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_the_command_line_trains_on_it(lay_out, tmp_path, capsys):
    words = "--recipe quickstart --steps 2 --batch-size 2 --image-size 32 --landmarks 2"
    words += " --set detector.features=8 --set detector.depth=1 --set generator.width=4"
    words += " --device cpu --set loading.workers=0 --json"
    command = ["train", "--data", f"aflw:{lay_out(tmp_path)}", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*command, *words.split()])
    assert ended.value.code == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert report["step"] == 2
    assert report["evaluation"]["images"].items() >= {"fit": 3, "test": 2}.items()


def test_without_scipy_the_extra_is_named(lay_out, tmp_path, monkeypatch):
    root = lay_out(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(LmkitError, match="takes scipy") as caught:
        AFLW(path=root)
    assert "lmkit[matlab]" in caught.value.remedy


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_images_whose_points_are_no_numbers_are_left_out(lay_out, left_out, tmp_path, value):
    gt = GT.copy()
    gt[0, 2, 1] = value
    (text,) = left_out(AFLW(path=lay_out(tmp_path, gt=gt)))
    assert "its row of gt is no five points" in text or "its point 2 lies at" in text


def test_sizes_that_are_none_are_left_out(lay_out, left_out, tmp_path):
    data = AFLW(path=lay_out(tmp_path, hw=np.array([[50.0, 1e300], [50, np.nan]])))
    assert ["its row of hw is no size" in text for text in left_out(data)] == [True, True]
