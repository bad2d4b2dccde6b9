"""Crops from the command line: trained, measured and predicted with, resumed, and refused."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode
from lmkit.run.run import open_run

TINY = (
    *(
        "--recipe=reconstruction-quick",
        "--device=cpu",
        "--steps=2",
        "--batch-size=4",
        "--landmarks=3",
    ),
    *("--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--set=generator.width=4", "--set=generator.blocks=1"),
)
LEAKS = "made from annotated points and so leaks the answer"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV of 16 images, two of them without points."""
    root = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", "x0", "y0", "x1", "y1", "x2", "y2"])
        for number in range(16):
            Image.fromarray(rng.integers(0, 256, (50, 60, 3), np.uint8)).save(
                root / f"{number}.png"
            )
            points = [f"{value:.1f}" for value in rng.uniform(12, 40, 6)]
            split = "test" if number % 4 == 0 else "train"
            writer.writerow(
                [f"{number}.png", split, *(points if number not in (3, 4) else 6 * [""])]
            )
    return root / "table.csv"


@pytest.fixture(scope="module")
def boxed(table, tmp_path_factory):
    """A run on crops made from annotation, and what was said."""
    out = tmp_path_factory.mktemp("boxed") / "run"
    command = ["train", *TINY, "--data", f"csv:{table}", "--out", str(out)]
    command += ["--set=loading.crop=annotated-box", "--set=loading.crop_margin=0.25"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "lmkit", *command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, " ".join(done.stderr.split())


def test_training_says_that_the_crop_leaks_and_what_is_left_out(boxed):
    out, said = boxed
    assert f"The crop is annotated-box (margin 0.25): it is {LEAKS}" in said
    assert "without annotated points to be cropped by: 2 images" in said
    split = json.loads((out / "split.json").read_text())
    assert {"3.png", "4.png"}.isdisjoint(split["train"] + split["test"])
    assert (len(split["train"]), len(split["test"])) == (11, 3)


def test_the_report_states_the_crop(boxed, lmkit):
    out, _ = boxed
    code, stdout, stderr = lmkit("evaluate", out)
    assert code == 0, stderr
    assert f"The crop is annotated-box (margin 0.25): it is {LEAKS}" in " ".join(stdout.split())
    assert LEAKS in " ".join(stderr.split())
    report = json.loads(lmkit("evaluate", out, "--json")[1])
    assert report["crop"] == "annotated-box (margin 0.25)"
    assert report["crop_from_annotation"] is True


def test_plain_images_are_taken_whole_with_a_note(boxed, lmkit, tmp_path):
    out, _ = boxed
    images = out.parent / "photos"
    images.mkdir()
    image = np.random.default_rng(5).integers(0, 256, (40, 40, 3), np.uint8)
    for number in range(2):
        Image.fromarray(image).save(images / f"{number}.png")
    code, _, stderr = lmkit("predict", out, images, "--out", tmp_path / "found", "--no-overlays")
    assert code == 0
    assert stderr.count("trained on crops made from annotation: annotated-box (margin 0.25)") == 1
    whole = open_run(out, device="cpu")
    with (tmp_path / "found" / "landmarks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = whole.predict(image)
    assert float(rows[0]["x0"]) == pytest.approx(expected[0, 0], abs=2e-3)


def test_another_crop_is_another_run(boxed, lmkit, tmp_path):
    out = shutil.copytree(boxed[0], tmp_path / "run")
    for other in ("crop=none", "crop=centre", "crop_margin=0.5", "crop_share=0.5"):
        word = f"--set=loading.{other}"
        code, _, stderr = lmkit("train", "--resume", out, "--steps", 4, word)
        assert code == ExitCode.RUN
        assert f"loading.{other.split('=')[0]} was" in stderr
    code, _, stderr = lmkit("evaluate", out, "--set", "loading.crop=none")
    assert code == ExitCode.USAGE
    assert "would change the run" in stderr
    assert lmkit("train", "--resume", out, "--steps", 4)[0] == 0


def test_a_run_from_before_there_were_crops_opens_and_goes_on(trained, lmkit, tmp_path):
    out = shutil.copytree(trained, tmp_path / "run")
    record = json.loads((out / "run.json").read_text())
    for key in ("crop", "crop_share", "crop_margin"):
        del record["settings"]["loading"][key]
    del record["checksum"]
    (out / "run.json").write_text(json.dumps(record))
    assert open_run(out).settings.loading.crop == "none"
    code, _, stderr = lmkit("train", "--resume", out, "--steps", 5)
    assert code == 0, stderr


def test_a_published_crop_states_itself_and_cuts_in_prediction(lmkit, tmp_path):
    out = tmp_path / "run"
    crop = ("--set=loading.crop=jakab2018", "--set=loading.fit=stretch", "--set=data.count=12")
    code, _, stderr = lmkit("train", *TINY, *crop, "--out", out)
    assert code == 0, stderr
    assert LEAKS not in stderr
    assert "The crop is jakab2018." in lmkit("evaluate", out)[1]
    run = open_run(out, device="cpu")
    image = np.random.default_rng(5).integers(0, 256, (100, 60, 3), np.uint8)
    inside = run.predict(image)
    assert (inside >= [5.5, 9.5]).all()
    assert (inside <= [53.5, 89.5]).all()
    image[:6], image[94:], image[:, :3], image[:, 57:] = 0, 0, 0, 0
    np.testing.assert_allclose(run.predict(image), inside, atol=0.5)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["crop=sanchez2019"], ExitCode.USAGE, ("stretched", "--set loading.fit=stretch")),
        (["crop=jakab2018", "fit=pad"], ExitCode.USAGE, ("stretched", "loading.fit=stretch")),
        (["crop=center"], ExitCode.USAGE, ("crop", "centre")),
        (["crop=centre", "crop_share=0"], ExitCode.USAGE, ("crop_share", "above 0")),
        (["crop=centre", "crop_share=1.5"], ExitCode.USAGE, ("crop_share", "up to 1")),
        (["crop=annotated-box", "crop_margin=-1"], ExitCode.USAGE, ("crop_margin", "at least 0")),
        (["crop=dve2019"], ExitCode.DATA, ("32x32 pixels", "178x218")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(lmkit, tmp_path, words, code, says):
    settings = [f"--set=loading.{word}" for word in words]
    out = tmp_path / "run"
    got, _, stderr = lmkit("train", *TINY, "--set=data.count=12", *settings, "--out", out)
    assert got == code, stderr
    assert all(word in " ".join(stderr.split()) for word in says)
    assert "Traceback" not in stderr
    assert not out.exists()


def test_a_crop_from_annotation_needs_some(lmkit, tmp_path):
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    words = ("--data", tmp_path / "photos", "--set=loading.crop=annotated-box")
    code, _, stderr = lmkit("train", *TINY, *words, "--out", tmp_path / "run")
    assert code == ExitCode.DATA
    said = " ".join(stderr.split())
    assert "none of the 6 images has any" in said
    assert "none, centre, jakab2018 or dve2019" in said
    assert not (tmp_path / "run").exists()
