"""MPII Human Pose."""

import copy
import json

import numpy as np
import pytest
from scipy.io import savemat

from lmkit.data.sets.mpii import MPII
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError

MATLAB = "mpii_human_pose_v1_u12_1.mat"
EMPTY = np.zeros((0, 0))
SIZE = (400, 300)
JOINTS = np.array([(150 + 3 * n, 60 + 7 * n) for n in range(16)], dtype=float)
"""Where the joints are drawn, from 0."""
SECOND = JOINTS + np.array([40, -30])
CENTRE, SCALE = (160.0, 110.0), 0.7


def struct(*entries):
    """Return a MATLAB array of structs; what an entry lacks is empty, as in the real file."""
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    array = np.empty((1, len(entries)), dtype=[(name, object) for name in names])
    for place, entry in enumerate(entries):
        for name in names:
            array[0, place][name] = entry.get(name, EMPTY)
    return array


def rectangle(joints=JOINTS, labelled=range(16), *, scale=SCALE, centre=CENTRE):
    """Return a person as the real file has it, counting from 1 in small integers and in floats."""
    points = [
        {
            "x": np.uint16(joints[n][0] + 1),
            "y": float(joints[n][1] + 1),
            "id": np.uint8(n),
            "is_visible": EMPTY if n in (8, 9) else str(n % 2),
        }
        for n in labelled
    ]
    found = {"x1": 1, "y1": 2, "x2": 3, "y2": 4}
    found["scale"], found["objpos"] = scale, {"x": centre[0] + 1, "y": centre[1] + 1}
    if points:
        found["annopoints"] = {"point": struct(*points)}
    return found


def image(name, *rectangles, video=EMPTY):
    rects = struct(*rectangles) if rectangles else EMPTY
    return {"image": {"name": name}, "annorect": rects, "frame_sec": 3, "vididx": video}


IMAGES = (
    image("a.jpg", rectangle(), rectangle(SECOND, range(2, 16)), video=4),
    image("b.jpg", rectangle(labelled=[6]), {"x1": 1}, video=5),
    image("c.jpg", rectangle(labelled=()), video=4),
    image("d.jpg", {"scale": SCALE, "objpos": {"x": 50, "y": 60}}),
    image("e.jpg"),
)


def person(image, joints=JOINTS, labelled=range(16), scale=SCALE, centre=CENTRE):
    return {
        "image": image,
        "joints": [list(joints[n] + 1) if n in labelled else [-1, -1] for n in range(16)],
        "joints_vis": [int(n in labelled) for n in range(16)],
        "center": [centre[0] + 1, centre[1] + 1],
        "scale": scale,
    }


JSON = {
    "train": [
        person("a.jpg"),
        person("a.jpg", SECOND, range(2, 16)),
        person("b.jpg", labelled=[6]),
    ],
    "valid": [person("c.jpg"), person("c.jpg", centre=(-2, -2))],
}


@pytest.fixture
def lay_out(draw):
    def write(root, *, matlab=None, jsons=None, under="annot", images="abcde"):
        for name in images:
            both = (SECOND, JOINTS) if name == "a" else (JOINTS,)
            draw(root / "images" / f"{name}.jpg", SIZE, *both)
        (root / under).mkdir(parents=True, exist_ok=True)
        if matlab is not None:
            savemat(root / under / MATLAB, matlab)
        for name, entries in (jsons or {}).items():
            (root / under / f"{name}.json").write_text(json.dumps(entries))
        return root

    return write


def release(*images, train=(1, 1, 1, 0, 0)):
    return {
        "RELEASE": {
            "annolist": struct(*images),
            "img_train": np.array([train[: len(images)]], dtype=np.uint8),
            "version": "12",
        }
    }


@pytest.mark.parametrize("under", [".", "mpii_human_pose_v1_u12_2"])
def test_the_download_is_read_exactly(lay_out, seen, tmp_path, under):
    data = MPII(path=lay_out(tmp_path, matlab=release(*IMAGES), under=under))
    keys = ["a.jpg#1", "a.jpg#2", "b.jpg#1", "c.jpg#1"]
    assert [data.key(index) for index in range(len(data))] == keys
    assert [seen(data, index) for index in range(3)] == [[*range(16)], [*range(2, 16)], [6]]
    assert data.annotation(3).points is None
    assert data.annotation(0).subject is None
    assert data.point_names[8:10] == ("upper neck", "head top")
    assert data.normalising_pair == (8, 9)
    assert "Each person is cut out by its annotation" in data.notes[0]
    assert data.notes[1:] == (
        "1 persons have no centre or scale and are left out.",
        "1 persons of the benchmark's test have no joints and are left out.",
    )


def test_crops_follow_the_convention(lay_out, tmp_path):
    data = MPII(path=lay_out(tmp_path, matlab=release(*IMAGES)))
    side = round(200 * 1.25 * SCALE)
    assert data.image(0).shape == (side, side, 3)
    offset = JOINTS - data.annotation(0).points
    # The middle of the crop is the centre, moved down by 15 pixels a unit of scale.
    middle = offset[0] + side / 2 - 0.5
    np.testing.assert_allclose(middle, [CENTRE[0], CENTRE[1] + 15 * SCALE], atol=0.5)
    assert np.ptp(offset, axis=0).max() == 0
    assert MPII(path=tmp_path, margin=2).image(0).shape[0] == round(200 * 2 * SCALE)


def test_persons_of_one_video_are_held_out_together(lay_out, tmp_path):
    data = MPII(path=lay_out(tmp_path, matlab=release(*IMAGES)))
    assert data.indices("test") is None
    split = make_split(data, held_out=0.4, seed=0)
    assert {frozenset(split.train), frozenset(split.test)} == {frozenset((0, 1, 3)), frozenset([2])}
    assert 3 not in split.fit


def test_test_persons_with_joints_test(lay_out, seen, tmp_path):
    labelled = (*IMAGES[:3], image("d.jpg", rectangle(labelled=range(4))))
    data = MPII(path=lay_out(tmp_path, matlab=release(*labelled)))
    assert (data.indices("train"), data.indices("test")) == ([0, 1, 2, 3], [4])
    assert data.indices("fit") == [0, 1, 2]
    assert seen(data, 4) == [0, 1, 2, 3]


def test_arrays_of_one_are_read(lay_out, seen, tmp_path):
    one = release(image("b.jpg", rectangle(labelled=[6]), video=5))
    data = MPII(path=lay_out(tmp_path, matlab=one))
    assert len(data) == 1
    assert seen(data, 0) == [6]


def test_the_json_is_read_exactly_and_preferred(lay_out, seen, tmp_path):
    data = MPII(path=lay_out(tmp_path, jsons=JSON, matlab=release(*IMAGES)))
    assert [data.key(i) for i in range(4)] == ["a.jpg#1", "a.jpg#2", "b.jpg#1", "c.jpg#1"]
    known = [[*range(16)], [*range(2, 16)], [6], [*range(16)]]
    assert [seen(data, index) for index in range(4)] == known
    assert (data.indices("train"), data.indices("test")) == ([0, 1, 2], [3])
    assert data.notes[1:] == ("1 persons have no centre or scale and are left out.",)
    (tmp_path / "annot" / "valid.json").unlink()
    data = MPII(path=tmp_path)
    assert data.indices("test") is None
    assert [data.group(index) for index in range(3)] == ["a.jpg", "a.jpg", "b.jpg"]


def test_both_forms_give_the_same_images(lay_out, tmp_path):
    one = MPII(path=lay_out(tmp_path / "json", jsons=JSON))
    other = MPII(path=lay_out(tmp_path / "matlab", matlab=release(*IMAGES)))
    for index in range(3):
        np.testing.assert_array_equal(one.annotation(index).points, other.annotation(index).points)
        np.testing.assert_array_equal(one.image(index), other.image(index))


def test_absent_images_are_left_out_with_a_note(lay_out, tmp_path):
    data = MPII(path=lay_out(tmp_path, jsons=JSON, images="bc"))
    assert [data.key(i) for i in range(len(data))] == ["b.jpg#1", "c.jpg#1"]
    assert "1 of the 3 images" in data.notes[-1]
    with pytest.raises(LmkitError, match="holds none of the 3 images"):
        MPII(path=lay_out(tmp_path / "bare", jsons=JSON, images=""))


def damaged(**changes):
    """Return the content of the .mat with one value of its first person exchanged."""
    first = rectangle()
    point = first["annopoints"]["point"]
    for name, value in changes.items():
        if name in first:
            first[name] = value
        else:
            point[0, 3][name] = value
    return release(image("a.jpg", first))


NAN = float("nan")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"other": 1}, "has no variable 'RELEASE'"),
        ({"RELEASE": {"img_train": [1]}}, "RELEASE: it has no field 'annolist'"),
        ({"RELEASE": 7}, "RELEASE: it has no field 'annolist'"),
        (release(*IMAGES, train=(1, 1)), "annolist has 5 images, but img_train has 2"),
    ],
)
def test_malformed_downloads_are_named_with_entry_and_remedy(lay_out, tmp_path, content, problem):
    lay_out(tmp_path, matlab=content)
    with pytest.raises(LmkitError) as caught:
        MPII(path=tmp_path)
    assert problem in caught.value.problem
    assert MATLAB in caught.value.problem
    assert "ownload" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": 16}, "the id 16 of a point is no joint's, 0 to 15"),
        ({"x": NAN}, "its 'x' is not a finite number"),
        ({"y": EMPTY}, "its 'y' is not a finite number"),
        ({"y": 1e39}, "its 'y' is not a finite number up to 1,000,000"),
        ({"scale": NAN}, "its 'scale' is not a finite number"),
        ({"scale": 1e300}, "its 'scale' is not a finite number up to 1,000,000"),
        ({"scale": 900_000}, "its box is no number of pixels, or too large"),
        ({"objpos": {"x": 3}}, "it has no field 'y'"),
    ],
)
def test_persons_of_the_download_that_are_malformed_are_left_out(
    lay_out, left_out, tmp_path, changes, problem
):
    content = damaged(**changes)["RELEASE"]["annolist"][0, 0]
    whole = release(image("a.jpg"), image("b.jpg", rectangle()))
    whole["RELEASE"]["annolist"][0, 0] = content
    (text,) = left_out(MPII(path=lay_out(tmp_path, matlab=whole)))
    assert text.startswith("a.jpg#1 (")
    assert problem in text


def test_images_without_a_name_are_left_out(lay_out, left_out, tmp_path):
    content = release({"annorect": EMPTY}, image("b.jpg", rectangle()))
    (text,) = left_out(MPII(path=lay_out(tmp_path, matlab=content)))
    assert "it has no field 'image'" in text or "it has no field 'name'" in text


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("image", ..., "it has no 'image'"),
        ("scale", ..., "it has no 'scale'"),
        ("scale", "x", "its 'scale' is not a number"),
        ("scale", 10**400, "its 'scale' is not a finite number"),
        ("scale", 1e300, "its 'scale' holds 1e+300, beyond"),
        ("center", [1, NAN], "its 'center' is not 2 finite numbers"),
        ("joints", [[1, 2]] * 15, "its 'joints' is not 16 x 2 finite numbers (15 x 2 are"),
        ("joints", [[1, 2]] * 15 + [[1]], "its 'joints' is not 16 x 2 finite numbers"),
        ("joints", [[1, 1e39]] * 16, "its 'joints' holds 1e+39, beyond 1,000,000 pixels"),
        ("joints_vis", [1] * 3, "its 'joints_vis' is not 16 finite numbers (3 are there)"),
    ],
)
def test_persons_of_the_json_that_are_malformed_are_left_out(
    lay_out, left_out, tmp_path, name, value, problem
):
    content = copy.deepcopy(JSON)
    content["train"][1][name] = value
    if value is ...:
        del content["train"][1][name]
    (text,) = left_out(MPII(path=lay_out(tmp_path, jsons=content)))
    assert f"([1] of train.json: {problem}" in text


def test_other_folders_and_options_are_refused(lay_out, tmp_path):
    with pytest.raises(LmkitError, match=r"has neither mpii_human_pose_v1_u12_1.mat nor") as caught:
        MPII(path=tmp_path)
    assert "images/" in caught.value.remedy
    lay_out(tmp_path, jsons=JSON)
    with pytest.raises(LmkitError, match="margin of -1"):
        MPII(path=tmp_path, margin=-1)
    with pytest.raises(LmkitError, match="Points 8 and 16 cannot"):
        MPII(path=tmp_path, normalising_pair=(8, 16))
    lay_out(tmp_path, jsons={"train": {}})
    with pytest.raises(LmkitError, match="top level: it is not a list of persons"):
        MPII(path=tmp_path)
    lay_out(tmp_path, jsons={"train": [], "valid": []})
    with pytest.raises(LmkitError, match="no person with joints"):
        MPII(path=tmp_path)
