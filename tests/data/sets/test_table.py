"""Images listed in a CSV."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.table import CsvTable
from lmkit.data.split import make_split
from lmkit.errors import ExitCode, LmkitError


def write(folder: Path, text: str, *, images: str = "", names: str = "abcd") -> Path:
    (folder / images).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / images / f"{name}.png")
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_known_is_read(tmp_path: Path) -> None:
    text = (
        "file,subject,split,x0,y0,x1,y1\n"
        "a.png,ann,train,1,2,3.5,4\n"
        "b.png,bob,test,5,6,7,8\n"
        "\n"
        "c.png,,val,1,1,1,1\n"
        "d.png,ann,,1,1,,7\n"
    )
    data = CsvTable(path=write(tmp_path, text))
    assert [data.key(i) for i in range(len(data))] == ["a.png", "b.png", "c.png", "d.png"]
    assert data.point_names == ("0", "1")
    assert data.normalising_pair == (0, 1)
    points, subject = data.annotation(0)
    np.testing.assert_array_equal(points, [[1, 2], [3.5, 4]])
    assert subject == "ann"
    assert data.annotation(2).subject is None
    np.testing.assert_array_equal(data.annotation(3).points, [[1, 1], [np.nan, np.nan]])
    assert data.indices("train") == [0, 3]
    assert data.indices("fit") == [0, 3]
    assert data.indices("test") == [1]
    assert data.image(0).shape == (4, 6, 3)
    assert data.problem(0) is None
    assert data.notes == ()


def test_file_alone_is_enough_and_lmkit_splits(tmp_path: Path) -> None:
    data = CsvTable(path=write(tmp_path, "file,split\na.png,train\nb.png,\nc.png,train\nd.png,\n"))
    assert data.point_names == ()
    assert data.annotation(0) == (None, None)
    assert data.indices("train") is None
    split = make_split(data, held_out=0.3, seed=0)
    assert split.test
    assert not split.fit


def test_points_can_have_names_and_unused_columns_are_noted(tmp_path: Path) -> None:
    text = "\ufefffile,eye_x,age,eye_y,left_ear_x,left_ear_y\na.png,,30,2,nan,4\nb.png,1,30,2,3,4\n"
    data = CsvTable(path=write(tmp_path, text))
    assert data.point_names == ("eye", "left_ear")
    assert data.annotation(0).points is None
    np.testing.assert_array_equal(data.annotation(1).points, [[1, 2], [3, 4]])
    assert len(data.notes) == 1
    assert "age" in data.notes[0]


def test_images_may_lie_beside_in_images_or_below_a_root(tmp_path: Path) -> None:
    text = "file\na.png\nb.png\n"
    data = CsvTable(path=write(tmp_path / "beside", text, images="images"))
    assert data.image(1).shape == (4, 6, 3)
    write(tmp_path / "other", "", images="deep")
    path = write(tmp_path / "alone", text, names="")
    assert CsvTable(path=path, root=tmp_path / "other" / "deep").image(0).shape == (4, 6, 3)


def test_normalising_pair_follows_the_points(tmp_path: Path) -> None:
    columns = ",".join(f"x{i},y{i}" for i in range(68))
    path = write(tmp_path, f"file,{columns}\na.png,{','.join(['1'] * 136)}\n")
    assert CsvTable(path=path).normalising_pair == (36, 45)
    assert CsvTable(path=path, normalising_pair=(2, 5)).normalising_pair == (2, 5)
    with pytest.raises(LmkitError, match="Points 0 and 68 cannot normalise errors"):
        CsvTable(path=path, normalising_pair=(0, 68))


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("name,x0,y0\na.png,1,2\n", r"line 1: .* no column 'file' \(it has: name", "column"),
        ("", "line 1: the header has no column 'file'", "'file'"),
        ("file\n", "line 1: no row", "row for each image"),
        ("file,file\na.png,b.png\n", "two columns are called 'file'", "Rename"),
        ("file,x0,y0\na.png,1,2\nb.png,1,two\n", "line 3: y0 is 'two', which is not a n", "pixels"),
        ("file,x0,y0\na.png,1,inf\n", "line 2: y0 is 'inf'", "pixels"),
        ("file,x0,y0,x1\na.png,1,2,3\n", "line 1: point '1' .* 'x1' but none for y", "rename"),
        ("file,nose_y\na.png,1\n", "line 1: point 'nose' .* 'nose_y' but none for x", "rename"),
        ("file\na.png\nb.png\na.png\n", "line 4: a.png is listed already, on line 2", "Remove"),
        ("file,subject\na.png,1\nb.png\n", "line 3: 1 cells where the header has 2", "empty"),
        ("file,split\na.png,train\nb.png,dev\n", "line 3: 'dev' is not a split", "val, test"),
        ("file,subject\n,ann\n", "line 2: the cell 'file' is empty", "Name an image"),
        ('file\n"a.png', "cannot be read as a CSV", "UTF-8"),
    ],
)  # fmt: skip
def test_malformed_tables_name_line_and_remedy(
    tmp_path: Path, text: str, problem: str, remedy: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(LmkitError, match=problem) as caught:
        CsvTable(path=path)
    assert str(path) in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_absent_images_are_left_out_with_a_note(tmp_path: Path) -> None:
    rows = "0.png,,9,9\na.png,test,1,2\n1.png,test,9,9\nb.png,,3,4\n2.png,,,\n3.png,,,\n"
    data = CsvTable(path=write(tmp_path, f"file,split,x0,y0\n{rows}"))
    assert [data.key(i) for i in range(len(data))] == ["a.png", "b.png"]
    np.testing.assert_array_equal(data.annotation(1).points, [[3, 4]])
    assert (data.indices("train"), data.indices("test")) == ([1], [0])
    assert len(data.notes) == 1
    assert "4 of the 6 images" in data.notes[0]
    assert "0.png, 1.png, 2.png and 1 more" in data.notes[0]


def test_no_image_at_all_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "file\n1.png\n")
    with pytest.raises(LmkitError, match=r"holds none of the 1 images that .*list.csv") as caught:
        CsvTable(path=path)
    assert "data.root" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_missing_table_and_other_encodings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LmkitError, match="There is not a CSV"):
        CsvTable(path=tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes("file\nJosé.png\n".encode("latin-1"))
    with pytest.raises(LmkitError, match="cannot be read as a CSV"):
        CsvTable(path=path)
