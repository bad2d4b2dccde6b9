"""CelebA's own layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.celeba import CelebA
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError

NAMES = [f"{number:06d}.jpg" for number in range(1, 7)]
LISTS = {
    "list_landmarks_align_celeba.txt": "6\nlefteye_x lefteye_y and so on\n"
    + "".join(f"{name}   {i} 1 2 3 4 5  6 7 8 9\n" for i, name in enumerate(NAMES)),
    "list_eval_partition.txt": "".join(f"{n} {p}\n" for n, p in zip(NAMES, "000112", strict=True)),
    "identity_CelebA.txt": "".join(f"{n} {p}\n" for n, p in zip(NAMES, "775531", strict=True)),
    # As in CelebA itself, where MAFL's test images are in the training partition.
    "MAFL/training.txt": f"{NAMES[0]}\n{NAMES[2]}\n",
    "MAFL/testing.txt": f"{NAMES[1]}\n",
}


def lay_out(root: Path, *, without: str = "", **changes: str) -> Path:
    (root / "img_align_celeba").mkdir(parents=True)
    (root / "MAFL").mkdir()
    for name in NAMES:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "img_align_celeba" / name)
    for name, text in LISTS.items():
        if name not in without:
            (root / name).write_text(changes.get(Path(name).stem, text))
    return root


def test_everything_known_is_read(tmp_path: Path) -> None:
    data = CelebA(path=lay_out(tmp_path))
    assert [data.key(i) for i in range(len(data))] == NAMES
    points, subject = data.annotation(2)
    np.testing.assert_array_equal(points, [[2, 1], [2, 3], [4, 5], [6, 7], [8, 9]])
    assert subject == "5"
    assert len(data.point_names) == 5
    assert data.image(0).shape == (4, 6, 3)
    assert data.problem(0) is None
    assert data.notes == ()


def test_mafl_decides_and_its_test_never_trains(tmp_path: Path) -> None:
    data = CelebA(path=lay_out(tmp_path))
    assert data.indices("test") == [1]
    assert data.indices("fit") == [0, 2]
    assert data.indices("train") == [0, 2, 3, 4, 5]
    make_split(data, held_out=0.1, seed=0)


def test_partition_decides_without_mafl(tmp_path: Path) -> None:
    data = CelebA(path=lay_out(tmp_path, without="MAFL/training.txt MAFL/testing.txt"))
    assert data.indices("test") == [5]
    assert data.indices("fit") == [0, 1, 2]
    assert data.indices("train") == [0, 1, 2, 3, 4]


def test_subjects_are_held_out_without_either(tmp_path: Path) -> None:
    without = "MAFL/training.txt MAFL/testing.txt list_eval_partition.txt"
    data = CelebA(path=lay_out(tmp_path, without=without))
    assert data.indices("test") is None
    split = make_split(data, held_out=0.3, seed=1)
    who = [{data.annotation(i).subject for i in part} for part in (split.train, split.test)]
    assert not who[0] & who[1]


def test_the_folders_of_the_download_are_found(tmp_path: Path) -> None:
    lay_out(tmp_path)
    for folder, name in [
        ("Img", "img_align_celeba"),
        ("Anno", "list_landmarks_align_celeba.txt"),
        ("Anno", "identity_CelebA.txt"),
        ("Eval", "list_eval_partition.txt"),
    ]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / folder / name)
    data = CelebA(path=tmp_path)
    assert data.annotation(0).subject == "7"
    assert data.image(5).shape == (4, 6, 3)


def test_absent_images_are_left_out_with_a_note(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    for name in NAMES[1:3]:
        (root / "img_align_celeba" / name).unlink()
    data = CelebA(path=root)
    assert len(data) == 4
    np.testing.assert_array_equal(data.annotation(1).points[0], [3, 1])  # type: ignore[index]
    assert data.indices("fit") == [0]
    assert data.indices("test") == []
    assert "2 of the 6 images" in data.notes[0]
    assert NAMES[1] in data.notes[0]


def test_missing_parts_of_the_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LmkitError, match="does not exist") as caught:
        CelebA(path=tmp_path / "nowhere")
    assert "img_align_celeba/" in caught.value.remedy
    with pytest.raises(LmkitError, match="it has no img_align_celeba"):
        CelebA(path=tmp_path)
    with pytest.raises(LmkitError, match="it has no list_landmarks_align"):
        CelebA(path=lay_out(tmp_path / "a", without="list_landmarks_align_celeba.txt"))
    with pytest.raises(LmkitError, match="not MAFL/testing") as caught:
        CelebA(path=lay_out(tmp_path / "b", without="MAFL/testing.txt"))
    assert "could end up in training" in caught.value.remedy
    root = lay_out(tmp_path / "c")
    for name in NAMES:
        (root / "img_align_celeba" / name).unlink()
    with pytest.raises(LmkitError, match="holds none of the 6 images"):
        CelebA(path=root)


LANDMARKS = "list_landmarks_align_celeba"


@pytest.mark.parametrize(
    ("stem", "text", "where"),
    [
        (LANDMARKS, "", "line 1: the number of images"),
        (LANDMARKS, "9" * 5000 + "\nheader\n", "line 1: the number of images"),
        (LANDMARKS, "000001.jpg 1 2 3\n", "line 1: the number of images"),
        (LANDMARKS, LISTS[f"{LANDMARKS}.txt"].replace("6\n", "7\n", 1), "line 1: 7 .* 6 follow"),
        ("list_eval_partition", "000001.jpg 3\n", "line 1: .* is not an image and 0, 1 or 2"),
        ("list_eval_partition", "000001.jpg 0\n\n000002.jpg 1\n", "line 2"),
        ("identity_CelebA", "000001.jpg 3\n000002.jpg\n", "line 2: .* image and a subject"),
        ("testing", "000001.jpg\n000009.jpg\n", "line 2: 000009.jpg is not in list_landmarks"),
        ("training", "000001.jpg\n000001.jpg\n", "line 2: 000001.jpg is listed already"),
        ("training", "000001.jpg 4\n", "line 1: .* is not the name of an image alone"),
    ],
)  # fmt: skip
def test_malformed_lists_name_file_line_and_remedy(
    tmp_path: Path, stem: str, text: str, where: str
) -> None:
    without = "MAFL/training.txt MAFL/testing.txt" if stem == "list_eval_partition" else ""
    root = lay_out(tmp_path, without=without, **{stem: text})
    with pytest.raises(LmkitError, match=f"{stem}.txt, {where}") as caught:
        CelebA(path=root)
    assert "download" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_image_that_fits_and_tests_is_refused(tmp_path: Path) -> None:
    data = CelebA(path=lay_out(tmp_path, training="\n".join(NAMES[:3])))
    with pytest.raises(LmkitError, match=r"used for fitting and for testing: 000002.jpg"):
        make_split(data, held_out=0.1, seed=0)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("000003.jpg 1 2 3 4", "000003.jpg (line 5 of list_landmarks_align_celeba.txt, "),
        ("000003.jpg 1 2 3 4 5 6 7 8 9 x", "holds something which is not a number"),
        ("000003.jpg 1 2 3 4 5 6 7 8 9 1e39", "holds something which is beyond 1,000,000 pixels"),
        ("000003.jpg 1 2 3 4 5 6 7 8 9 nan", "is not an image and 10 numbers"),
        ("000001.jpg 1 2 3 4 5 6 7 8 9 10", "line 5 (000001.jpg is listed already)"),
        ("", "line 5 (it names no image)"),
    ],
)
def test_images_whose_points_are_malformed_are_left_out(tmp_path, left_out, row, problem) -> None:
    lines = LISTS[f"{LANDMARKS}.txt"].splitlines()
    lines[4] = row
    gone = "MAFL/training.txt MAFL/testing.txt list_eval_partition.txt identity_CelebA.txt"
    root = lay_out(tmp_path, without=gone, **{LANDMARKS: "\n".join(lines)})
    (text,) = left_out(CelebA(path=root))
    assert problem in text


def test_it_is_read_as_repackaged_with_commas(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    want = CelebA(path=root)
    within = root / "img_align_celeba" / "img_align_celeba"
    within.mkdir()
    for name in NAMES:
        (root / "img_align_celeba" / name).rename(within / name)
    for name, header in ((LANDMARKS, "image_id,lefteye_x,..."), ("list_eval_partition", "a,b")):
        path = root / f"{name}.txt"
        rows = path.read_text().splitlines()[2 if name == LANDMARKS else 0 :]
        text = "\n".join([header, *(",".join(row.split()) for row in rows)])
        path.with_suffix(".csv").write_text(text)
        path.unlink()
    data = CelebA(path=root)
    assert [data.key(i) for i in range(len(data))] == NAMES
    for index in range(len(data)):
        np.testing.assert_array_equal(data.annotation(index)[0], want.annotation(index)[0])
    assert data.indices("test") == want.indices("test")
    for name in ("MAFL/training.txt", "MAFL/testing.txt"):
        (root / name).unlink()
    assert CelebA(path=root).indices("test") == [5]
