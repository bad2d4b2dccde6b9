"""Images listed in a CSV."""

import time
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
        ("scorer,a,a\nbodyparts,n,n\ncoords,x,z\n", "bodypart 'n' has no column x or none y", "E"),
        ("scorer,a,a\nbodyparts,n,n\nb,1,2\n", "lacks a line 'bodyparts' or 'coords'", "Export"),
        ("file,x0,y0,x_0\na.png,1,2,3\n", "point '0' has two columns for x", "Rename"),
        ("name,x0,y0\na.png,1,2\n", r"line 1: .* no column 'file' \(it has: name", "column"),
        ("", "line 1: the header has no column 'file'", "'file'"),
        ("file\n", "line 1: no row", "row for each image"),
        ("file,file\na.png,b.png\n", "two columns are called 'file'", "Rename"),
        ("file,x0,y0,x1\na.png,1,2,3\n", "line 1: point '1' .* 'x1' but none for y", "rename"),
        ("file,nose_y\na.png,1\n", "line 1: point 'nose' .* 'nose_y' but none for x", "rename"),
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


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b.png,,1,two", "b.png (line 3) (y of point '0' is 'two', which is not a number)"),
        ("b.png,,1,inf", "b.png (line 3) (y of point '0' is 'inf', which is not a number)"),
        ("b.png,,1,1_0", "b.png (line 3) (y of point '0' is '1_0', which is not a number)"),
        ("b.png,,1e39,1", "b.png (line 3) (x of point '0' is '1e39', which is beyond 1,000,000"),
        (f"b.png,,1,{'9' * 5000}", "which is beyond 1,000,000 pixels)"),
        ("a.png,,1,1", "a.png (line 3) (it is listed already, on line 2)"),
        ("b.png,,1", "b.png (line 3) (3 cells where the header has 4)"),
        (
            "b.png,later,1,1",
            "b.png (line 3) ('later' is not a split (train, val, test or nothing))",
        ),
        (",train,1,1", "a row (line 3) (its cell 'file' is empty)"),
    ],
)
def test_rows_that_cannot_be_used_are_left_out_and_named(tmp_path, left_out, row, problem) -> None:
    data = CsvTable(path=write(tmp_path, f"file,split,x0,y0\na.png,,1,2\n{row}\nc.png,,3,3\n"))
    (text,) = left_out(data)
    assert problem in text
    assert [n for n in range(3) if data.problem(n) is None] == [0, 2]
    np.testing.assert_array_equal(data.annotation(2).points, [[3, 3]])


@pytest.mark.parametrize("word", ["nan", "NA", "N/A", "None", "null", "NULL", "<NA>", ""])
def test_words_for_what_is_not_known(tmp_path: Path, word: str) -> None:
    text = f"file,subject,split,x0,y0,x1,y1\na.png,{word},{word},{word},1,2,3\nb.png,ann,,1,2,3,4\n"
    data = CsvTable(path=write(tmp_path, text))
    points, subject = data.annotation(0)
    assert subject is None
    np.testing.assert_array_equal(points, [[np.nan, np.nan], [2, 3]])
    assert data.problem(0) is None


@pytest.mark.parametrize(
    ("columns", "names", "left"),
    [
        ("bbox_x,bbox_y,bbox_w,bbox_h,nose_x,nose_y", ["nose"], "bbox_x, bbox_y"),
        ("x0,y0,x1,y1,nose_x,nose_y", ["nose"], "x0, y0, x1 and 1 more"),
        ("centroid_x,centroid_y,x0,y0", ["0"], "centroid_x, centroid_y"),
        ("crop_x,age,left_x,left_y", ["left"], "crop_x"),
        ("face_x,face_y,face_w,face_h,x0,y0", ["0"], "face_x, face_y"),
        ("min_x,min_y,max_x,max_y,ear.x,ear.y", ["ear"], "min_x, min_y, max_x and 1 more"),
        ("X0,Y0,X1,Y1", ["0", "1"], ""),
        ("x_0,y_0,0x,age", None, ""),
        ("nose.x,nose.y,Ear X,Ear Y", ["nose", "Ear"], ""),
        ("mouth_center_x,mouth_center_y", ["mouth_center"], ""),
    ],
)
def test_columns_of_a_box_are_no_points_and_are_named(tmp_path, columns, names, left) -> None:
    cells = ",".join("1" for _ in columns.split(","))
    path = write(tmp_path, f"file,{columns}\na.png,{cells}\n")
    if names is None:
        with pytest.raises(LmkitError, match="two columns for x"):
            CsvTable(path=path)
        return
    data = CsvTable(path=path)
    assert list(data.point_names) == names
    told = " ".join(data.notes)
    assert ("not taken for points" in told) == bool(left)
    assert left in told


def test_other_words_for_the_columns_are_understood_and_said(tmp_path: Path) -> None:
    text = ",image_name,Set,nose_x,nose_y\n0,a.png,Test,1,2\n1,b.png,Train,3,4\n2,c.png,VALID,1,1\n"
    data = CsvTable(path=write(tmp_path, text))
    assert data.indices("train") == [1]
    assert data.indices("test") == [0]
    told = " ".join(data.notes)
    for part in ("image_name of", "'file'", "Set of", "'split'", "one without a name"):
        assert part in told


HEADERS = {
    "one": "scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n{}/v/a.png,1,2,3,4\n"
    "{}/v/b.png,,,5,6\n",
    "three": "scorer,,,me,me,me,me\nbodyparts,,,nose,nose,tail,tail\ncoords,,,x,y,x,y\n"
    "{},v,a.png,1,2,3,4\n{},v,b.png,,,5,6\n",
    "likelihood": "scorer,n,n,n,n,n,n\nbodyparts,nose,nose,nose,tail,tail,tail\n"
    "coords,x,y,likelihood,x,y,likelihood\n{}/v/a.png,1,2,0.5,3,4,1\n{}/v/b.png,,,,5,6,1\n",
}


@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.parametrize("place", ["project", "video"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_labels_of_deeplabcut_are_read(tmp_path: Path, form: str, place: str, slash: str) -> None:
    folder = tmp_path / "project" / "labeled-data" / "v"
    for name in "ab":
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / f"{name}.png")
    path = (tmp_path / "project" if place == "project" else folder) / "CollectedData_me.csv"
    path.write_text(HEADERS[form].replace("{}", "labeled-data").replace("/", slash))
    data = CsvTable(path=path)
    assert data.point_names == ("nose", "tail")
    assert data.key(1) == "labeled-data/v/b.png"
    np.testing.assert_array_equal(data.annotation(0).points, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(data.annotation(1).points, [[np.nan, np.nan], [5, 6]])
    assert data.image(1).shape == (4, 6, 3)
    assert ("predictions" in " ".join(data.notes)) == (form == "likelihood")


def test_several_animals_of_deeplabcut_have_points_of_their_own(tmp_path: Path) -> None:
    text = (
        "scorer,me,me,me,me\nindividuals,a,a,b,b\nbodyparts,nose,nose,nose,nose\n"
        "coords,x,y,x,y\na.png,1,2,3,4\n"
    )
    assert CsvTable(path=write(tmp_path, text)).point_names == ("a nose", "b nose")


def test_a_header_of_many_columns_takes_no_time(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(50_000)]
    start = time.process_time()
    data = CsvTable(path=write(tmp_path, f"file,{','.join(names)}\na.png{',' * len(names)}\n"))
    # Comparing each with each took a minute.
    assert time.process_time() - start < 5
    assert len(" ".join(data.notes)) < 1000
