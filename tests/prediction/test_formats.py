"""Files for other tools: each is read back to the same points, by this and by others' readers."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.coco import Coco
from lmkit.data.sets.table import CsvTable
from lmkit.prediction.formats import FORMATS

NAMES = ["nose", "left_eye", "right_eye"]
SIZE = (60, 50)
POINTS = np.array([[[10.125, 12.5], [30, 9], [20, 30]], [[0, 0], [59, 49], [1.25, 48.75]]])
NAN = (math.nan, math.nan)


@pytest.fixture
def written(tmp_path):
    """Write a file of a format beside its images; return the path."""

    def write(form, points=POINTS, confidence=None, suffix=".json"):
        path = tmp_path / f"file{suffix}"
        with path.open("w", encoding="utf-8", newline="") as file:
            entry, end = FORMATS[form](file, NAMES, confidence is not None)
            for number, own in enumerate(points):
                name = f"labeled-data/v/{number}.png"
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", SIZE, (number * 20, 0, 0)).save(tmp_path / name)
                sure = None if confidence is None else confidence[number]
                entry(name, SIZE, own.tolist(), sure)
            file.writelines(end())
        return path

    return write


def points_of(dataset):
    return np.array([dataset.annotation(index).points for index in range(len(dataset))])


def test_keypoints_of_coco_are_read_back(written, tmp_path):
    dataset = Coco(path=written("coco"), root=tmp_path, whole=True)
    assert list(dataset.point_names) == NAMES
    assert np.allclose(points_of(dataset), POINTS, atol=1e-3)


def test_a_table_of_deeplabcut_is_read_back(written):
    dataset = CsvTable(path=written("dlc", suffix=".csv"))
    assert list(dataset.point_names) == NAMES
    assert np.allclose(points_of(dataset), POINTS, atol=1e-3)


def test_what_is_not_known_is_marked_so(written):
    points = POINTS.copy()
    points[0, 1] = NAN
    points[1] = NAN
    content = json.loads(written("coco", points).read_text())
    first, second = content["annotations"]
    assert (first["num_keypoints"], second["num_keypoints"]) == (2, 0)
    assert first["keypoints"][3:6] == [0, 0, 0]
    assert first["bbox"] == [10.125, 12.5, 9.875, 17.5]
    rows = written("dlc", points, suffix=".csv").read_text().splitlines()
    assert rows[3].endswith("0.png,10.125,12.500,,,20.000,30.000")
    assert rows[4].endswith("1.png,,,,,,")


def test_confidence_becomes_likelihood_and_score(written):
    confidence = [[0.5, 0.25, 0.75], [1.0, 1.0, 0.4]]
    content = json.loads(written("coco", confidence=confidence).read_text())
    assert [entry["score"] for entry in content["annotations"]] == [0.5, 0.8]
    rows = written("dlc", confidence=confidence, suffix=".csv").read_text().splitlines()
    assert rows[1].split(",")[1:4] == ["nose"] * 3
    assert rows[2].split(",")[1:4] == ["x", "y", "likelihood"]
    assert rows[3].split(",")[3] == "0.5000"


def test_any_number_of_images_fits(monkeypatch):
    monkeypatch.setattr("lmkit.prediction.formats._LARGEST", 100)
    file = io.StringIO()
    entry, end = FORMATS["coco"](file, NAMES, False)
    for number in range(50):
        entry(f"{number}.png", None, POINTS[0].tolist(), None)
    file.writelines(end())
    content = json.loads(file.getvalue())
    assert [image["file_name"] for image in content["images"]] == [f"{n}.png" for n in range(50)]
    assert [entry["image_id"] for entry in content["annotations"]] == list(range(1, 51))
    assert content["images"][0]["width"] is None


def test_without_images_it_is_a_file_all_the_same():
    file = io.StringIO()
    _, end = FORMATS["coco"](file, NAMES, False)
    file.writelines(end())
    content = json.loads(file.getvalue())
    assert content["images"] == content["annotations"] == []


def test_pycocotools_reads_it(written, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    read = coco.COCO(written("coco"))
    found = [read.loadAnns(number)[0]["keypoints"] for number in read.getAnnIds()]
    xy = np.array(found).reshape(-1, 3, 3)[..., :2]
    assert np.allclose(xy, POINTS, atol=1e-3)


def test_pandas_reads_it_as_deeplabcut_does(written):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(written("dlc", suffix=".csv"), header=[0, 1, 2], index_col=0)
    assert list(table.columns.get_level_values("bodyparts").unique()) == NAMES
    assert np.allclose(table.to_numpy().reshape(-1, 3, 2), POINTS, atol=1e-3)
