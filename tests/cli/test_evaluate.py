"""``lmkit evaluate`` as it is typed: what it writes, prints and refuses."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of 20 images with 68 points, the last of them known now and then."""
    root = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    with (root / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = [f"{axis}{number}" for number in range(68) for axis in "xy"]
        writer.writerow(["file", "split", *columns])
        for number in range(20):
            noise = rng.integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(noise).save(root / f"{number}.png")
            points = [f"{value:.1f}" for value in rng.uniform(5, 40, 136)]
            if number % 2:
                points[-2:] = ["", ""]
            if number == 19:
                points[72:74] = ["", ""]
            writer.writerow([f"{number}.png", "test" if number > 11 else "train", *points])
    return root / "annotations.csv"


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".csv"))


def test_its_own_data_is_written_into_the_run(lmkit, run):
    code, stdout, stderr = lmkit("evaluate", run)
    assert (code, stderr) == (0, "")
    assert files(run / "evaluation") == ["errors.csv", "evaluation.json"]
    report = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert f"{report['forward']['nme']:.2f}" in stdout
    with (run / "evaluation" / "errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report["images"]["test"] == 4
    assert np.mean([float(row["nme"]) for row in rows]) == pytest.approx(
        report["forward"]["nme"], abs=1e-5
    )


def test_other_data_has_a_folder_of_its_own(lmkit, run, table):
    code, stdout, stderr = lmkit("evaluate", run, "--data", f"csv:{table}", "--json")
    assert code == 0, stderr
    (folder,) = (run / "evaluation").iterdir()
    assert folder.name.startswith("csv-table")
    assert folder.name.rpartition("-")[0].endswith("-annotations")
    report = json.loads(stdout)
    assert report == json.loads((folder / "evaluation.json").read_text())
    assert report["normalised_by"] == ["36", "45"]
    assert report["images"] == {"fit": 12, "test": 7, "test_complete": 4, "without_pair": 1}
    assert len(report["forward"]["per_point"]) == 68
    assert [row["number"] for row in report["labelled"]] == [1, 5]


def test_the_options_reach_the_report(lmkit, run, table):
    options = ["--normalise-by", "0,1", "--convention", "sanchez2019", "--threshold", "25"]
    options += ["--labelled", "2,3", "--stability", "3", "--seed", "5", "--batch-size", "2"]
    code, stdout, stderr = lmkit(
        "evaluate", run, "--data", f"csv:{table}", *options, "--json", "--no-files"
    )
    assert code == 0, stderr
    report = json.loads(stdout)
    assert report["normalised_by"] == ["0", "1"]
    assert report["images"]["without_pair"] == 0
    assert report["forward"]["convention"] == "sanchez2019"
    assert report["curve"]["threshold"] == 25
    assert [(row["number"], row["images"], row["draws"]) for row in report["labelled"]] == [
        (2, 3, 10),
        (3, 4, 10),
    ]
    assert report["stability"]["images"] == 3
    assert report["seed"] == 5
    assert not (run / "evaluation").exists()


def test_what_costs_more_can_be_left_out_and_out_says_where(lmkit, run, tmp_path):
    options = ["--labelled", "none", "--stability", "0", "--draws", "2", "--out", tmp_path / "here"]
    code, stdout, stderr = lmkit("evaluate", run, *options)
    assert code == 0, stderr
    assert "labelled images" not in stdout
    assert "stability" not in stdout
    assert f"{tmp_path / 'here'}: evaluation.json, errors.csv, faces.png" in stdout
    assert files(tmp_path / "here") == ["errors.csv", "evaluation.json"]
    assert not (run / "evaluation").exists()


def test_images_that_trained_are_left_out_and_named(lmkit, run):
    options = ["--set", "data.count=27", "--set", "data.images_per_subject=3"]
    code, stdout, stderr = lmkit("evaluate", run, *options, "--no-files", "--json")
    assert code == 0
    said = "Left out of testing, because the run trained on them: 2 images."
    assert said in stderr
    report = json.loads(stdout)
    assert report["images"]["test"] == 1
    assert said in report["notes"]


@pytest.mark.parametrize(
    ("options", "says", "code"),
    [
        (["--convention", "jakab"], "Did you mean 'jakab2018'?", ExitCode.USAGE),
        (["--normalise-by", "0,9"], "there is no point '9'", ExitCode.USAGE),
        (["--normalise-by", "0"], "not two different points", ExitCode.USAGE),
        (["--labelled", "1,x"], "--labelled 1,x is not a list of numbers", ExitCode.USAGE),
        (["--labelled", "0"], "--labelled 0 is not a list of numbers", ExitCode.USAGE),
        (["--no-files", "--out", "x"], "exclude each other", ExitCode.USAGE),
        (["--threshold", "0"], "0.0 is not in the range", ExitCode.USAGE),
        (["--set", "data.count=16"], "would test trained the run", ExitCode.DATA),
        (["--out", "run/run.json"], "cannot be written", ExitCode.STORAGE),
    ],
)
def test_mistakes_are_refused_before_anything_is_computed(lmkit, run, options, says, code):
    exit_code, stdout, stderr = lmkit("evaluate", run, *options)
    assert exit_code == code, stderr
    assert says in " ".join(stderr.split())
    assert stdout == ""
    assert "Traceback" not in stderr
    assert not (run / "evaluation").exists()


def test_a_run_without_a_checkpoint_is_refused_and_left_as_it_was(lmkit, run):
    shutil.rmtree(run / "checkpoints")
    code, _, stderr = lmkit("evaluate", run)
    assert code == ExitCode.RUN
    assert "has no checkpoint yet" in stderr
    assert not (run / "evaluation").exists()


def test_images_without_annotation_are_looked_at_and_judged(lmkit, run, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{number}.png")
    code, stdout, stderr = lmkit("evaluate", run, "--data", photos)
    assert code == 0, stderr
    assert "Verdict: " in stdout
    assert "Health: At fault are " in stdout
    assert "worst images" in stdout
    (folder,) = (run / "evaluation").iterdir()
    assert files(folder) == ["evaluation.json", "images.csv"]
    assert (folder / "faces.png").is_file()
    assert (folder / "worst.png").is_file()
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["label_free"]["verdict"]["finding"] in stdout
    code, stdout, stderr = lmkit(
        "evaluate", run, "--data", photos, "--no-controls", "--no-files", "--json"
    )
    assert code == 0, stderr
    assert json.loads(stdout)["label_free"]["untrained"] is None
    code, stdout, stderr = lmkit("evaluate", run, "--data", photos, "--normalise-by", "0,1")
    assert (code, stdout) == (ExitCode.USAGE, "")
    assert "the data has no annotated points" in " ".join(stderr.split())


def test_controls_stand_beside_the_error_and_can_be_left_out(lmkit, run):
    code, stdout, _ = lmkit("evaluate", run)
    assert code == 0
    assert "the same network untrained" in stdout
    assert "mean shape, fixed points" in stdout
    assert "Verdict: " in stdout
    report = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert report["controls"]["fixed_points"]["nme"] == pytest.approx(report["mean_shape"]["nme"])
    assert report["label_free"]["images"] == 4
    code, stdout, _ = lmkit("evaluate", run, "--no-controls", "--no-files", "--json")
    assert code == 0
    assert json.loads(stdout)["controls"] == {"untrained": None, "fixed_points": None}
