"""Keypoints in YOLO's pose format."""

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.yolo import Yolo
from lmkit.errors import ExitCode, LmkitError

SIZE = (60, 50)
POINTS = [(10, 12), (14, 9), (6, 9)]
BOX = (10.0, 10.5, 12.0, 9.0)
"""Centre, width and height."""


def line(points=POINTS, box=BOX, visible=(2, 1, 2), width=3) -> str:
    shares = [box[0] / 60, box[1] / 50, box[2] / 60, box[3] / 50]
    for (x, y), v in zip(points, visible, strict=True):
        shares += [x / 60, y / 50, v][:width]
    return "0 " + " ".join(f"{share:.9g}" for share in shares)


YAML = "path: .\ntrain: images/train\nval: images/val\nkpt_shape: [3, 3]\nnames: {0: mouse}\n"


@pytest.fixture
def lay_out(draw):
    def write(root, labels=None, yaml=YAML, *, names=("train/a", "train/b", "val/c")):
        for name in names:
            draw(root / "images" / f"{name}.png", SIZE, POINTS)
            path = root / "labels" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (labels or {}).get(name, line())
            if text is not None:
                path.write_text(text)
        (root / "data.yaml").write_text(yaml)
        return root

    return write


def test_each_object_is_cut_out_with_its_points(lay_out, seen, left_out, tmp_path):
    labels = {"train/b": f"{line()}\n\n{line(visible=(0, 0, 0))}\n{line(visible=(1, 0, 2))}\n"}
    data = Yolo(path=lay_out(tmp_path, labels))
    keys = [data.key(index) for index in range(len(data))]
    assert keys == ["images/train/a.png#1", *(f"images/train/b.png#{n}" for n in (1, 4)),
                    "images/val/c.png#1"]  # fmt: skip
    assert [seen(data, index) for index in range(4)] == [[0, 1, 2], [0, 1, 2], [0, 2], [0, 1, 2]]
    # 1.25 times the longer side of the box.
    assert data.image(0).shape == (15, 15, 3)
    assert data.indices("train") == data.indices("fit") == [0, 1, 2]
    assert data.indices("test") == [3]
    assert data.group(1) == data.group(2) == "images/train/b.png"
    assert data.point_names == ("0", "1", "2")
    assert left_out(data) == []
    assert Yolo(path=tmp_path / "data.yaml", normalising_pair=(0, 2)).normalising_pair == (0, 2)


def test_without_visibility_points_at_the_origin_are_not_known(lay_out, seen, tmp_path):
    two = {name: line([(0, 0), *POINTS[1:]], width=2) for name in ("train/a", "train/b", "val/c")}
    yaml = YAML.replace("[3, 3]", "[3, 2]") + "kpt_names: {0: [nose, left_eye, right_eye]}\n"
    data = Yolo(path=lay_out(tmp_path, two, yaml))
    assert [seen(data, index) for index in range(3)] == [[1, 2]] * 3
    assert data.point_names == ("nose", "left_eye", "right_eye")
    assert data.normalising_pair == (1, 2)


def test_an_image_that_lies_turned_is_measured_upright(lay_out, tmp_path):
    root = lay_out(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 60)).save(root / "images/train/a.png", exif=exif)
    data = Yolo(path=root)
    found = data.annotation(0).points
    np.testing.assert_allclose(found - found[0], np.array(POINTS) - POINTS[0], atol=1e-4)
    assert data.image(0).shape == (15, 15, 3)


@pytest.mark.parametrize(
    "train",
    ["../images/train", "[images/train]", "list.txt", "./images/train"],
)
def test_parts_are_found_as_exports_write_them(lay_out, tmp_path, train):
    yaml = YAML.replace("path: .\n", "").replace("train: images/train", f"train: {train}")
    root = lay_out(tmp_path, yaml=yaml)
    (root / "list.txt").write_text("./images/train/a.png\nimages\\train\\b.png\n")
    assert Yolo(path=root).indices("train") == [0, 1]


def test_where_the_same_images_test_a_share_is_held_out(lay_out, tmp_path):
    root = lay_out(tmp_path, yaml=YAML.replace("images/val", "images/train"))
    data = Yolo(path=root)
    assert len(data) == 2
    assert data.indices("test") is None
    root = lay_out(tmp_path, yaml=YAML.replace("images/train", "[images/train, images/val]"))
    with pytest.raises(LmkitError, match="1 images are in 'train' and in 'val'"):
        Yolo(path=root)


def test_what_is_left_alone_is_said(lay_out, tmp_path):
    root = lay_out(tmp_path, {"train/b": None}, YAML + "test: images/other\n")
    (root / "images/other").mkdir()
    (root / "images/val/c.png").rename(root / "images/other/c.png")
    (root / "labels/other").mkdir()
    (root / "labels/val/c.txt").rename(root / "labels/other/c.txt")
    Image.new("RGB", SIZE).save(root / "images/val/d.png")
    data = Yolo(path=root)
    told = " ".join(data.notes)
    assert "The 1 images of 'val' are left alone" in told
    assert "1 images of" in told
    assert "have no labels" in told


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("0 0.5 0.5 0.1", "4 numbers where kpt_shape makes it 14"),
        (line().replace("0 ", "nan ", 1), "not all are numbers"),
        (line().replace("0 ", "1e39 ", 1), "beyond 1,000,000 pixels"),
        (line().replace("0 ", "x ", 1), "which is not a number"),
        (line(box=(10, 10, 0, 0)), "its box is not of shares"),
        (line(box=(900, 10, 9, 9)), "its box is not of shares"),
        (line([(6e7, 9), *POINTS[1:]]), "its point 0 lies at (6e+07, 9), beyond"),
        (b"\xff\xfe", "cannot be read as a list"),
    ],
)
def test_lines_that_are_malformed_are_left_out_and_named(
    lay_out, left_out, tmp_path, labels, problem
):
    root = lay_out(tmp_path)
    path = root / "labels/train/b.txt"
    path.write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    (text,) = left_out(Yolo(path=root))
    assert text.startswith("images/train/b.png")
    assert problem in text


def test_an_image_that_is_none_is_left_out(lay_out, left_out, tmp_path):
    root = lay_out(tmp_path)
    (root / "images/train/b.png").write_text("words")
    assert len(left_out(Yolo(path=root))) == 1


@pytest.mark.parametrize(
    ("yaml", "problem"),
    [
        ("", "kpt_shape: it is not"),
        ("[" * 50_000, "it is not YAML"),
        ("kpt_shape: [3, 3\n", "it is not YAML"),
        ("kpt_shape: [3, 4]\ntrain: images", "kpt_shape: it is not"),
        ("kpt_shape: [100000000, 3]\ntrain: images", "kpt_shape: it is not"),
        ("kpt_shape: [3, 3]\n", "names no image that trains"),
        ("kpt_shape: [3, 3]\ntrain: 7\n", "train: it does not name"),
        ("kpt_shape: [3, 3]\ntrain: nowhere\n", "which .* names as 'train', is not there"),
        ("kpt_shape: [3, 3]\ntrain: labels\n", "names no image that trains"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "kpt_shape: it is not"),
    ],
)
def test_malformed_layouts_are_refused(lay_out, tmp_path, yaml, problem):
    with pytest.raises(LmkitError, match=problem) as caught:
        Yolo(path=lay_out(tmp_path, yaml=yaml))
    assert caught.value.code == ExitCode.DATA
    with pytest.raises(LmkitError, match="There is no"):
        Yolo(path=tmp_path / "nowhere")
    none = dict.fromkeys(("train/a", "train/b", "val/c"))
    with pytest.raises(LmkitError, match="has labels with a known keypoint"):
        Yolo(path=lay_out(tmp_path / "none", none))
