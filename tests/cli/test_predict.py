"""``lmkit predict`` on every kind of data, from the command line."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save(path, width=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(width).integers(0, 256, (30, width, 3), np.uint8)
    Image.fromarray(noise).save(path)


def test_generated_faces_go_by_their_keys(lmkit, trained, tmp_path):
    code, stdout, stderr = lmkit(
        "predict", trained, "faces", "--set", "data.count=6", "--out", "found", "--device=cpu"
    )
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == ["6 images: found/landmarks.csv", "Drawn in found/overlays"]
    found = rows(tmp_path / "found" / "landmarks.csv")
    assert found[0]["file"] == "face-0-000000-0"
    assert len(list((tmp_path / "found" / "overlays").iterdir())) == 6


def test_a_table_is_read_as_data(lmkit, trained, tmp_path):
    save(tmp_path / "one" / "a.png")
    save(tmp_path / "b.png", 50)
    (tmp_path / "table.csv").write_text("file,x0,y0\nb.png,3,4\none/a.png,1,2\n")
    options = ("--out", "found", "--no-overlays", "--device=cpu")
    code, stdout, _ = lmkit("predict", trained, "csv:table.csv", *options)
    assert (code, stdout) == (0, "2 images: found/landmarks.csv\n")
    named = {row["file"]: row for row in rows(tmp_path / "found" / "landmarks.csv")}
    assert list(named) == ["b.png", "one/a.png"]
    assert named["b.png"]["width"] == "50"
    # The same as of the files themselves.
    assert lmkit("predict", trained, ".", *options)[0] == 0
    assert {row["file"]: row for row in rows(tmp_path / "found" / "landmarks.csv")} == named


DATASET = """
import numpy as np
from lmkit.api import Component, Dataset, hookimpl

@hookimpl
def lmkit_components():
    return [Component("dataset", "stripes", "striped_data:Stripes", "stripes")]

class Stripes(Dataset):
    def __init__(self, *, path: str, count: int = 2):
        self.width, self.count = int(path), count

    def __len__(self):
        return self.count

    def key(self, index):
        return f"stripe:{index}"

    def image(self, index):
        return np.full((20, self.width, 3), index, np.uint8)
"""


def test_third_parties_data_is_taken_as_well(install, lmkit, trained, tmp_path):
    install("striped-data", DATASET)
    for word in ("stripes:24", "striped_data/stripes:24"):
        code, _, stderr = lmkit(
            "predict", trained, word, "--set=data.count=3", "--out", "found", "--device=cpu"
        )
        assert (code, stderr) == (0, "")
        found = rows(tmp_path / "found" / "landmarks.csv")
        assert [(row["file"], row["width"]) for row in found] == [
            (f"stripe:{number}", "24") for number in range(3)
        ]
    drawn = sorted(path.name for path in (tmp_path / "found" / "overlays").iterdir())
    assert len(drawn) == 3
    assert all(name.startswith("stripe_") and ":" not in name for name in drawn)


def test_a_folder_of_a_kinds_name_wins_and_says_so(lmkit, trained, tmp_path):
    save(tmp_path / "faces" / "a.png")
    code, stdout, stderr = lmkit("predict", trained, "faces", "--out", "found", "--device=cpu")
    assert code == 0
    assert stdout.startswith("1 image: found")
    assert "Note: faces is taken for the path of that name" in stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("faces", "photos"), "faces is a kind of data, which does not go together with photos"),
        (("faces", "faces"), "faces is a kind of data, which does not go together with faces"),
        (("photos", "--set=data.count=3"), "sets options of data, and photos is a path"),
        (("faces", "--set=detector.beta=77"), "detector.beta=77.0 would change the run"),
        (("faces", "--set=data.colour=red"), "colour"),
        (("csv:absent.csv",), "absent.csv"),
        (("nothing:here",), "nothing:here does not exist"),
    ],
)
def test_what_does_not_serve_is_refused(lmkit, trained, tmp_path, words, says):
    save(tmp_path / "photos" / "a.png")
    code, stdout, stderr = lmkit("predict", trained, *words, "--out", "found")
    assert code in (ExitCode.USAGE, ExitCode.DATA)
    assert stdout == ""
    assert says in " ".join(stderr.split())
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(("form", "suffix"), [("coco", "coco.json"), ("dlc", "dlc.csv")])
def test_the_forms_of_other_tools_hold_the_same_points(lmkit, trained, tmp_path, form, suffix):
    words = ("predict", trained, "faces", "--set", "data.count=24", "--device", "cpu")
    more = ("--no-overlays", "--workers", 0)
    assert lmkit(*words, "--out", "plain", *more)[0] == 0
    code, stdout, stderr = lmkit(*words, "--out", "other", *more, "--format", form, "--confidence")
    assert code == 0, stderr
    assert f"landmarks.{suffix}" in stdout
    with (tmp_path / "plain" / "landmarks.csv").open(newline="") as file:
        plain = [row[3:] for row in list(csv.reader(file))[1:]]
    path = tmp_path / "other" / f"landmarks.{suffix}"
    if form == "coco":
        content = json.loads(path.read_text())
        assert content["categories"][0]["keypoints"][:2] == ["landmark0", "landmark1"]
        values = [entry["keypoints"] for entry in content["annotations"]]
        assert all(0 <= entry["score"] <= 1 for entry in content["annotations"])
    else:
        with path.open(newline="") as file:
            values = [row[1:] for row in list(csv.reader(file))[3:]]
    assert len(values) == len(plain)
    found = [
        [float(row[i + axis]) for i in range(0, len(row), 3) for axis in (0, 1)] for row in values
    ]
    assert found == [[float(cell) for cell in row] for row in plain]
