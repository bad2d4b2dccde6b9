"""Keypoints in COCO's JSON."""

import copy
import json

import numpy as np
import pytest

from lmkit.data.sets.coco import Coco
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError

NAMES = ["nose", "left_eye", "right_eye"]
POINTS = {1: [(10, 12), (14, 9), (6, 9)], 2: [(40, 30), (45, 25), (35, 25)]}
"""In two boxes of one image of 60 x 50 pixels."""


def entry(number, image, points, box, visible=(2, 2, 2), **fields):
    keypoints = [n for (x, y), v in zip(points, visible, strict=True) for n in (x, y, v)]
    fields = {"id": number, "image_id": image, "category_id": 1, "bbox": box} | fields
    return fields | {"keypoints": keypoints}


CONTENT = {
    "images": [
        {"id": 5, "file_name": "a.png", "width": 60, "height": 50},
        {"id": 6, "file_name": "b.png"},
    ],
    "categories": [
        {"id": 1, "name": "person", "keypoints": NAMES},
        {"id": 2, "name": "chair"},
    ],
    "annotations": [
        entry(11, 5, POINTS[1], [4, 6, 12, 9]),
        entry(12, 5, POINTS[2], [30, 22, 20.5, 15.5], visible=(1, 0, 2)),
        entry(13, 6, POINTS[1], [4, 6, 12, 9]),
        entry(14, 6, POINTS[2], [30, 22, 20, 15], visible=(0, 0, 0)),
        entry(15, 6, POINTS[2], [30, 22, 20, 15], iscrowd=1),
        {"id": 16, "image_id": 6, "category_id": 2, "bbox": [1, 1, 2, 2]},
        {"id": 17, "image_id": 6, "category_id": 1, "bbox": [1, 1, 2, 2]},
    ],
}


def change(content, *path, to):
    """Copy the content with one value exchanged, or taken away with ``to=...``."""
    content = copy.deepcopy(content)
    inner = content
    for step in path[:-1]:
        inner = inner[step]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return content


@pytest.fixture
def lay_out(draw):
    def write(folder, content=CONTENT, *, name="keypoints.json", images="", files=("a", "b")):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            draw(folder / images / f"{file}.png", (60, 50), *POINTS.values())
        path = folder / name
        path.write_text(json.dumps(content))
        return path

    return write


def test_each_object_is_cut_out_with_its_points(lay_out, seen, tmp_path):
    unboxed = change(CONTENT, "annotations", 3, "bbox", to=[0, 0, 0, 0])
    data = Coco(path=lay_out(tmp_path, unboxed))
    assert [data.key(index) for index in range(len(data))] == ["a.png#11", "a.png#12", "b.png#13"]
    assert data.point_names == tuple(NAMES)
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    assert np.isnan(data.annotation(1).points[1]).all()
    # 1.25 times the longer side of 12, around (10, 10.5).
    assert data.image(0).shape == (15, 15, 3)
    np.testing.assert_array_equal(data.annotation(0).points, np.array(POINTS[1]) - [2, 3])
    assert len(data.notes) == 2
    assert "cut out by its annotation" in data.notes[0]
    assert "4 objects of" in data.notes[1]
    assert "1 crowds, 1 of another kind, 2 without a known keypoint" in data.notes[1]


@pytest.mark.parametrize("margin", [0.1, 1, 3, 8.0])
def test_squares_of_any_margin_keep_points_on_their_pixels(lay_out, seen, tmp_path, margin):
    data = Coco(path=lay_out(tmp_path), margin=margin)
    side = round(12 * margin)
    assert data.image(0).shape == (side, side, 3)
    if margin >= 1:
        assert seen(data, 0) == [0, 1, 2]
    # What lies beyond the borders is dark as the edges are.
    assert len(np.unique(data.image(0))) <= 4


def test_persons_of_one_image_are_held_out_together(lay_out, tmp_path):
    content = copy.deepcopy(CONTENT)
    content["images"] = [{"id": n, "file_name": f"{n}.png"} for n in range(8)]
    content["annotations"] = [entry(100 + n, n % 8, POINTS[1], [4, 6, 12, 9]) for n in range(24)]
    path = lay_out(tmp_path, content, files=map(str, range(8)))
    data = Coco(path=path)
    assert data.indices("test") is None
    split = make_split(data, held_out=0.4, seed=0)
    train, test = ({data.key(i).partition("#")[0] for i in p} for p in (split.train, split.test))
    assert train
    assert test
    assert not train & test


def test_a_second_file_tests(lay_out, seen, tmp_path):
    (tmp_path / "annotations").mkdir()
    train = lay_out(tmp_path / "train2017", name="../annotations/person_keypoints_train2017.json")
    test = lay_out(tmp_path / "val2017", name="../annotations/person_keypoints_val2017.json")
    data = Coco(path=train.resolve(), test=test.resolve())
    assert data.indices("train") == data.indices("fit") == [0, 1, 2]
    assert data.indices("test") == [3, 4, 5]
    assert data.key(3) == "test/a.png#11"
    assert seen(data, 4) == [0, 2]
    make_split(data, held_out=0.1, seed=0)
    with pytest.raises(LmkitError, match=r"2 images are in .* and in") as caught:
        Coco(path=train, test=test, root=tmp_path / "val2017", test_root=tmp_path / "val2017")
    assert "train and test" in caught.value.remedy
    other = change(CONTENT, "categories", 0, "keypoints", to=["a", "b", "c"])
    with pytest.raises(LmkitError, match="its keypoints are a, b, c, but those of"):
        Coco(path=train, test=lay_out(tmp_path / "val2017", other))


def test_whole_images_have_one_object_or_none(lay_out, seen, tmp_path):
    with pytest.raises(LmkitError, match=r"a.png: the image has 2 objects") as caught:
        Coco(path=lay_out(tmp_path), whole=True)
    assert "data.whole" in caught.value.remedy
    only = entry(12, 6, POINTS[2], [], visible=(1, 0, 2))
    del only["bbox"]
    data = Coco(path=lay_out(tmp_path, change(CONTENT, "annotations", to=[only])), whole=True)
    assert [data.key(0), data.key(1)] == ["a.png", "b.png"]
    assert data.annotation(0).points is None
    assert seen(data, 1) == [0, 2]
    np.testing.assert_array_equal(data.annotation(1).points[0], POINTS[2][0])
    assert data.image(1).shape == (50, 60, 3)
    assert not data.notes


def test_the_category_can_be_chosen_and_must_be_where_there_are_several(lay_out, tmp_path):
    chairs = change(CONTENT, "categories", 1, "keypoints", to=["leg"])
    chairs["annotations"][5]["keypoints"] = [1, 1, 2]
    path = lay_out(tmp_path, chairs)
    assert Coco(path=path, category="chair").point_names == ("leg",)
    for wanted, problem in (
        (None, "several have keypoints, and not the same: person, chair"),
        ("cat", "no 'cat'"),
    ):
        with pytest.raises(LmkitError, match=problem) as caught:
            Coco(path=path, category=wanted)
        assert "data.category" in caught.value.remedy


def test_the_torso_normalises_persons(lay_out, tmp_path):
    path = lay_out(tmp_path)
    assert Coco(path=path).normalising_pair == (1, 2)
    assert Coco(path=path, normalising_pair=(0, 2)).normalising_pair == (0, 2)
    names = ["right_hip", "nose", "left_shoulder"]
    path = lay_out(tmp_path, change(CONTENT, "categories", 0, "keypoints", to=names))
    assert Coco(path=path).normalising_pair == (2, 0)


def test_absent_images_are_left_out_with_a_note(lay_out, tmp_path):
    data = Coco(path=lay_out(tmp_path, files="b", images="images"))
    assert [data.key(index) for index in range(len(data))] == ["b.png#13"]
    assert "1 of the 2 images" in data.notes[1]
    with pytest.raises(LmkitError, match="holds none of the 2 images") as caught:
        Coco(path=lay_out(tmp_path / "far" / "away", files=""))
    assert "data.root" in caught.value.remedy


def test_an_image_of_another_size_is_not_read(lay_out, tmp_path):
    data = Coco(path=lay_out(tmp_path, change(CONTENT, "images", 0, "width", to=120)))
    with pytest.raises(OSError, match="it has 60 x 50 pixels, but was annotated with 120 x 50"):
        data.image(0)


NAN = float("nan")


@pytest.mark.parametrize(
    ("path", "to", "problem", "remedy"),
    [
        (("images",), ..., "top level: it has no 'images'", "export"),
        (("annotations",), {}, "top level: its 'annotations' is not a list", "Correct"),
        (("categories", 0, "keypoints"), ["a", "a"], "(id 1): two of its 'keypoints' have", "Na"),
        (("categories", 0, "id"), ..., "categories[0]: it has no 'id'", "Give each"),
    ],
)  # fmt: skip
def test_malformed_files_are_named_with_entry_and_remedy(
    lay_out, tmp_path, path, to, problem, remedy
):
    file = lay_out(tmp_path, change(CONTENT, *path, to=to))
    with pytest.raises(LmkitError) as caught:
        Coco(path=file)
    assert caught.value.problem.startswith(f"{file}, ")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    ("path", "to", "problem"),
    [
        (("images", 1, "file_name"), ..., "images[1] (id 6) (it has no 'file_name')"),
        (("images", 1, "file_name"), "", "images[1] (id 6) (its 'file_name' is empty)"),
        (("images", 1, "id"), 5, "images[1] (id 5) (its id occurs twice)"),
        (("images", 1, "id"), 10**400, "(no image has its image_id 6)"),
        (("annotations", 0, "keypoints"), [1, 2, 2], "is not 9 finite numbers (3 are there)"),
        (("annotations", 0, "keypoints", 3), NAN, "its keypoint 1 is visible, and it is not said"),
        (("annotations", 0, "keypoints", 3), None, "its keypoint 1 is visible, and it is not sai"),
        (("annotations", 0, "keypoints", 3), "x", "its 'keypoints' is not 9 finite numbers"),
        (("annotations", 0, "keypoints", 3), 10**400, "its 'keypoints' is not 9 finite numbers"),
        (("annotations", 0, "keypoints", 3), 1e39, "its point 1 lies at (1e+39, 9), beyond"),
        (("annotations", 0, "bbox"), [1, 2, -3, 9], "its 'bbox' has a negative width or height"),
        (("annotations", 0, "bbox"), [1, 2, NAN, 3], "its 'bbox' is not 4 finite numbers"),
        (("annotations", 0, "bbox"), [1, 2, 1e300, 3], "its 'bbox' holds 1e+300, beyond"),
        (("annotations", 0, "bbox"), [1, 2, 10**400, 3], "its 'bbox' is not 4 finite numbers"),
        (("annotations", 0, "bbox"), [900, 2, 9, 9], "lies outside of the image of 60 x 50"),
        (("annotations", 0, "bbox"), {"x": 1}, "its 'bbox' is not a list"),
        (("annotations", 0, "image_id"), 9, "(no image has its image_id 9)"),
        (("annotations", 0, "image_id"), [[]], "(its 'image_id' is not a number or text)"),
        (("annotations", 1, "id"), 11, "(its id occurs twice on the image)"),
        (("annotations", 2, "category_id"), [], "(its 'category_id' is not a number or text)"),
        (("annotations", 2), 7, "annotations[2] (it is no object)"),
    ],
)  # fmt: skip
def test_entries_that_cannot_be_used_are_left_out_and_named(
    lay_out, left_out, seen, tmp_path, path, to, problem
):
    data = Coco(path=lay_out(tmp_path, change(CONTENT, *path, to=to)))
    found = left_out(data)
    assert any(problem in text for text in found)
    usable = [n for n in range(len(data)) if data.problem(n) is None]
    assert len(usable) + len(found) == len(data)
    assert [seen(data, index) for index in usable]


def test_keypoints_that_are_not_visible_may_be_anything(lay_out, left_out, seen, tmp_path):
    content = copy.deepcopy(CONTENT)
    for place, value in ((3, None), (4, NAN)):
        content["annotations"][1]["keypoints"][place] = value
    content["annotations"][2]["keypoints"][6:9] = [-1e30, 1e300, 0]
    data = Coco(path=lay_out(tmp_path, content))
    assert left_out(data) == []
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1]]


@pytest.mark.parametrize("names", [[], None, ...])
def test_keypoints_without_names_are_numbered(lay_out, seen, tmp_path, names):
    data = Coco(path=lay_out(tmp_path, change(CONTENT, "categories", 0, "keypoints", to=names)))
    assert data.point_names == ("0", "1", "2")
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]


def test_without_categories_all_objects_with_keypoints_are_read(lay_out, seen, tmp_path):
    content = change(CONTENT, "categories", to=[])
    assert len(Coco(path=lay_out(tmp_path, content))) == 3
    content = change(content, "categories", to=...)
    for entry_ in content["annotations"]:
        del entry_["category_id"]
    data = Coco(path=lay_out(tmp_path, content))
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]


def test_categories_of_one_skeleton_are_read_together(lay_out, seen, tmp_path):
    content = change(CONTENT, "categories", 1, "keypoints", to=NAMES)
    content["annotations"][2]["category_id"] = 2
    data = Coco(path=lay_out(tmp_path, content))
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    # Whoever names one of them means the skeleton.
    assert len(Coco(path=tmp_path / "keypoints.json", category="chair")) == 3


def test_ids_may_be_texts_numbers_or_absent(lay_out, seen, tmp_path):
    content = change(CONTENT, "annotations", 0, "image_id", to="5")
    content["annotations"][1]["image_id"] = 5.0
    del content["annotations"][2]["id"]
    content["categories"][0]["id"] = "1"
    data = Coco(path=lay_out(tmp_path, content))
    keys = ["a.png#11", "a.png#12", "b.png#annotations[2]"]
    assert [data.key(index) for index in range(len(data))] == keys
    assert [seen(data, index) for index in range(3)] == [[0, 1, 2], [0, 2], [0, 1, 2]]


@pytest.mark.parametrize("box", [..., None, [], [0, 0, 0, 0]])
def test_objects_without_a_box_get_that_of_their_keypoints(lay_out, seen, left_out, tmp_path, box):
    content = change(CONTENT, "annotations", 0, "bbox", to=box)
    data = Coco(path=lay_out(tmp_path, content))
    assert "1 objects of" in data.notes[-1]
    assert "data.whole=true" in data.notes[-1]
    assert left_out(data) == []
    # Their keypoints span 9 x 4 pixels.
    assert data.image(0).shape == (11, 11, 3)
    assert seen(data, 0) == [0, 1, 2]
    content["annotations"][0] = entry(11, 5, POINTS[1], [3, 3, 0, 0], visible=(2, 0, 0))
    data = Coco(path=lay_out(tmp_path, content))
    assert left_out(data) == ["a.png#11 (it has no box, and its known keypoints span none)"]


def test_of_whole_images_those_with_a_broken_object_are_left_out(lay_out, left_out, tmp_path):
    broken = entry(12, 6, POINTS[2], [], visible=(1, 0, 2)) | {"keypoints": [1]}
    content = change(CONTENT, "annotations", to=[entry(11, 5, POINTS[1], []), broken])
    data = Coco(path=lay_out(tmp_path, content), whole=True)
    (text,) = left_out(data)
    assert text.startswith("b.png (annotations[1] (id 12): its 'keypoints' is not 9")


def test_names_of_another_machine_are_found(lay_out, seen, tmp_path):
    content = change(CONTENT, "images", 0, "file_name", to="C:\\me\\photos\\A.png")
    data = Coco(path=lay_out(tmp_path, content))
    assert data.key(0) == "a.png#11"
    assert "1 of the 2 images" in data.notes[1]
    assert seen(data, 0) == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"images": ' * 100_000,
        '{"images": [{"id": ' + "9" * 5_000 + "}]}",
        "1e999",
        "NaN",
        '"images"',
        "[1, 2]",
        '{"images": {}, "annotations": [], "categories": []}',
        '{"images": [], "annotations": [], "categories": []}',
    ],
)
def test_files_of_any_content_are_refused_in_words(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LmkitError) as caught:
        Coco(path=tmp_path / "a.json")
    assert caught.value.code == ExitCode.DATA
    assert len(caught.value.problem) < 1000


def test_other_files_and_margins_are_refused(lay_out, tmp_path):
    path = lay_out(tmp_path)
    with pytest.raises(LmkitError, match="There is no JSON") as caught:
        Coco(path=tmp_path / "none.json")
    assert "person_keypoints_train2017.json" in caught.value.remedy
    with pytest.raises(LmkitError, match="margin of 0"):
        Coco(path=path, margin=0)
    path.write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(LmkitError, match=r"keypoints.json, line 2: it is not JSON"):
        Coco(path=path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LmkitError, match="cannot be read as JSON"):
        Coco(path=path)
    boxes = change(CONTENT, "annotations", to=[CONTENT["annotations"][-1]])
    with pytest.raises(LmkitError, match="no object with a known keypoint") as caught:
        Coco(path=lay_out(tmp_path, boxes))
    assert "data.category" in caught.value.remedy
