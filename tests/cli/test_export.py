"""A run as one file: exported, opened where a run is, and refused where a folder is needed."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import lmkit as package
from lmkit.errors import ExitCode, LmkitError
from lmkit.points.map import PointsMap
from lmkit.run.exported import Exported
from lmkit.run.run import open_run

SIZE = 32


@pytest.fixture(scope="module")
def fitted(trained, tmp_path_factory):
    """The run, and a map to three points."""
    run = open_run(trained, device="cpu")
    random = np.random.default_rng(0)
    known = PointsMap(
        names=("left_eye", "right_eye", "nose"),
        matrix=random.normal(0, 1, (6, 6)),
        offset=random.normal(0, 0.1, 6),
        standard_error=np.full((3, 2), 0.05),
        kind="linear",
        bias=True,
        ridge=1e-3,
        images=9,
        fitted_with=run.fitted_with,
    )
    folder = tmp_path_factory.mktemp("points")
    known.save(folder / "map.json")
    return run, folder


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    run, points = fitted
    folder = tmp_path_factory.mktemp("exported")
    run.export(folder / "model.onnx", points=points)
    run.export(folder / "model.pt2", form="pt2", points=points)
    return folder


@pytest.fixture
def photos(tmp_path, trained):
    dataset = open_run(trained, device="cpu")._dataset("faces")
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        image = Image.fromarray(dataset.image(index)).resize((40 + index, 50))
        image.save(folder / f"{index}.png")
    return folder


def numbers(path):
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], [row[0] for row in rows], np.array([row[1:] for row in rows[1:]], float)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_predict_writes_the_same(form, lmkit, trained, fitted, exported, photos, tmp_path):
    options = (photos, "--points", fitted[1], "--no-overlays", "--device=cpu", "--workers=0")
    assert lmkit("predict", trained, *options, "--out", "of_run")[0] == 0
    code, _, stderr = lmkit("predict", exported / f"model.{form}", *options, "--out", "of_file")
    assert (code, stderr) == (0, "")
    for name in ("landmarks.csv", "points.csv"):
        header, files, wanted = numbers(tmp_path / "of_run" / name)
        same_header, same_files, found = numbers(tmp_path / "of_file" / name)
        assert (header, files) == (same_header, same_files)
        # They are rounded to thousandths.
        assert np.abs(found - wanted).max() < 0.0021


def test_named_points_of_the_graph_are_those_of_predict(fitted, exported):
    run, points = fitted
    images = [run._dataset("faces").image(index) for index in range(4)]
    named = run.predict(images, points=points)
    session = onnxruntime.InferenceSession(
        exported / "model.onnx", providers=["CPUExecutionProvider"]
    )
    squares = np.stack(images).transpose(0, 3, 1, 2)
    assert squares.shape[2:] == (SIZE, SIZE)
    (found,) = session.run(["named_points"], {"images": squares})
    assert np.abs(found - named.points).max() < 1e-4
    told = json.loads(session.get_modelmeta().custom_metadata_map["lmkit"])
    assert told["points"]["names"] == ["left_eye", "right_eye", "nose"]
    assert told["points"]["standard_error"][0] == [pytest.approx(0.05 * SIZE / 2)] * 2


def test_a_file_says_where_it_comes_from(trained, fitted, exported):
    run = fitted[0]
    for form in ("onnx", "pt2"):
        told = package.open_run(exported / f"model.{form}").record
        assert told["detector"] == {"sha256": run.fitted_with.sha256, "name": "hourglass"}
        assert (told["run"], told["step"]) == (trained.name, 4)
        assert told["landmarks"] == 3
        assert told["versions"]["lmkit"] == package.__version__
        assert told["settings"]["loading"] == run.stored["loading"]
        assert str(trained.parent) not in json.dumps(told)
        assert told["tried"] == {"batches": [1, 3], "within_pixels": 1e-4}


def test_a_file_is_a_run_that_predicts(fitted, exported):
    run, points = fitted
    image = run._dataset("faces").image(0)
    for form in ("onnx", "pt2"):
        opened = open_run(exported / f"model.{form}")
        assert opened.step == 4
        assert np.allclose(opened.predict(image), run.predict(image), atol=1e-4)
        named = opened.predict(image, points=points)
        assert np.allclose(named["nose"], run.predict(image, points=points)["nose"], atol=1e-4)
        assert opened.fitted_with.sha256 == run.fitted_with.sha256
        assert opened.notes() == []


def test_without_the_detectors_plugin_it_still_predicts(exported, monkeypatch):
    from lmkit.registry.lookup import Registry, installed

    lacking = Registry([each for each in installed().plugins if each.name != "lmkit_interintra"])
    monkeypatch.setattr("lmkit.run.run.installed", lambda: lacking)
    opened = open_run(exported / "model.onnx")
    assert opened.predict(np.zeros((50, 40, 3), np.uint8)).shape == (3, 2)


def test_fit_works_on_a_file(lmkit, exported, photos, tmp_path):
    rows = [f"photos/{index}.png,{10 + index},12,20,{21 + index}" for index in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,eye_x,eye_y,ear_x,ear_y", *rows]))
    model = exported / "model.onnx"
    code, _, stderr = lmkit("fit", model, "--data", "csv:labels.csv", "--workers=0")
    assert code == ExitCode.USAGE
    assert "Give a folder with --out" in stderr
    code, _, _ = lmkit("fit", model, "--data=csv:labels.csv", "--out=points", "--workers=0")
    assert code == 0
    assert PointsMap.read(tmp_path / "points").names == ("eye", "ear")


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "MODEL"),
        ("compare", "MODEL", "MODEL"),
        ("export", "MODEL"),
        ("suggest", "MODEL", ".", "-n", "2"),
        ("check-run", "MODEL"),
        ("train", "--resume", "MODEL"),
    ],
)
def test_what_needs_a_folder_says_so(words, lmkit, exported):
    model = exported / "model.onnx"
    code, stdout, stderr = lmkit(*(model if word == "MODEL" else word for word in words))
    assert code == ExitCode.RUN
    assert stdout == ""
    assert "folder" in stderr
    assert len(stderr.strip().splitlines()) <= 3


def test_the_command_writes_a_file_and_says_what_it_returns(lmkit, trained, tmp_path, monkeypatch):
    out = tmp_path / "deep" / "face.PT2"
    code, stdout, _ = lmkit("export", trained, "--out", out, "--json")
    assert code == 0
    told = json.loads(stdout)
    assert told["file"] == str(out)
    assert told["off_by_pixels"] <= 1e-4
    assert list(told["outputs"]) == ["points", "normalised", "confidence", "covariance"]
    assert out.is_file()
    written = Exported(out, open_run(out).exported.detector.description, 2e-6)
    monkeypatch.setattr("lmkit.run.run.export_run", lambda *given, **options: written)
    code, stdout, _ = lmkit("export", trained, "--out", out)
    assert code == 0
    assert "Returns points, normalised, confidence, covariance." in stdout
    assert "within 2e-06 pixels" in stdout


def test_a_name_that_says_another_format_is_refused(lmkit, trained, tmp_path):
    for words in (("--out", "face.bin"), ("--out", "face.pt2", "--format", "onnx")):
        code, _, stderr = lmkit("export", trained, *words)
        assert code == ExitCode.USAGE
        assert "ends in .onnx" in stderr
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_page_finds_what_predict_finds(exported, photos, trained):
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
        if "onnxruntime" in block
    )
    image = photos / "3.png"
    run = subprocess.run(
        [sys.executable, "-c", example, exported / "model.onnx", image],
        capture_output=True,
        text=True,
        check=True,
    )
    found = np.array([line.split() for line in run.stdout.splitlines()], float)
    assert found[:, 0].tolist() == [0, 1, 2]
    wanted = open_run(trained, device="cpu").predict(image)
    assert np.abs(found[:, 1:] - wanted).max() < 2e-3


def test_other_devices_are_refused(exported):
    with pytest.raises(LmkitError, match="run on the CPU"):
        open_run(exported / "model.onnx", device="cuda")
