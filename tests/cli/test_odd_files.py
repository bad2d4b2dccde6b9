"""Pipes and names that are not as they should be, from the command line."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs names of any bytes, pipes")

TINY = [
    *("train", "--recipe=reconstruction-quick", "--device=cpu", "--steps=1", "--batch-size=4"),
    *("--landmarks=3", "--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--set=generator.width=4", "--set=generator.blocks=1"),
]
NAMES = [
    *(b"l\xe4tin-%d.png" % number for number in range(4)),
    *(f"f\u00e4lle {number} \u9854.png".encode() for number in range(4)),
    b"\xe4/1.png",
    b"new\nline.png",
    b"x" * 251 + b".png",
    "\u00e4".encode() * 125 + b".png",
    b"y" * 255,
]


def draw(folder, names):
    for number, name in enumerate(names):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        with path.open("wb") as file:
            Image.fromarray(noise).save(file, "PNG")


@pytest.mark.parametrize(
    "locale",
    [{"PYTHONUTF8": "1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["UTF-8", "C"],
)
def test_images_of_any_name_train_and_are_predicted(tmp_path, locale):
    draw(tmp_path / "data", NAMES)
    run = [*TINY, "--data=data", "--out=run", "--set=loading.cache=kept"]
    commands = [run, ["predict", "run", "data", "--out=found", "--format=csv"],
                ["train", "--resume", "run", "--steps=2"], ["data", "check", "data"]]  # fmt: skip
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "lmkit", *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **locale},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    text = (tmp_path / "found" / "landmarks.csv").read_bytes().decode("utf-8", "surrogateescape")
    rows = list(csv.reader(text.splitlines(keepends=True)))
    # The names are their bytes, whatever the locale.
    assert {row[0].encode("utf-8", "surrogateescape") for row in rows[1:]} == set(NAMES)
    assert not (tmp_path / "found" / "unreadable.csv").exists()
    drawn = [path for path in (tmp_path / "found" / "overlays").rglob("*") if path.is_file()]
    assert len(drawn) == len(NAMES)
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    keys = {key for part in ("train", "test") for key in split[part]}
    assert {key.encode("utf-8", "surrogateescape") for key in keys} == set(NAMES)


def test_a_pipe_is_never_waited_for(lmkit, trained, tmp_path):
    for name in ("pipe.toml", "pipe.csv", "pipe.json", "pipe.jpg"):
        os.mkfifo(tmp_path / name)
    out = ("--out", tmp_path / "out")
    code, _, stderr = lmkit("train", "--config", "pipe.toml", *out)
    assert code == ExitCode.USAGE
    assert "it is a pipe, not a file" in stderr
    for spec in ("csv:pipe.csv", "coco:pipe.json"):
        assert lmkit(*TINY, "--data", spec, *out)[0] == ExitCode.DATA
    code, _, stderr = lmkit("predict", trained, "pipe.jpg", *out)
    assert code == ExitCode.DATA
    assert "pipe.jpg cannot be read: it is a pipe, not a file" in stderr


@pytest.mark.parametrize("name", ["split.json", "metrics.jsonl", "status.json", "run.json"])
def test_a_pipe_in_a_run_is_never_waited_for(lmkit, trained, tmp_path, name):
    import shutil

    run = shutil.copytree(trained, tmp_path / "run")
    (run / name).unlink()
    os.mkfifo(run / name)
    code, _, stderr = lmkit("train", "--resume", run, "--steps=5")
    assert "Traceback" not in stderr
    # What decides nothing is written anew.
    assert code == (ExitCode.RUN if name in ("split.json", "run.json") else 0), stderr


def test_an_image_that_cannot_be_named_on_the_disk_costs_no_other(
    lmkit, trained, tmp_path, monkeypatch
):
    import errno

    draw(tmp_path / "data", [b"a.png", b"b.png", b"c.png"])
    real = Image.Image.save

    def save(self, path, *given, **options):
        if str(path).endswith("b.png.png"):
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        real(self, path, *given, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    code, _, stderr = lmkit("predict", trained, "data", "--out=found", "--workers=0")
    assert code == 0, stderr
    assert "Skipped b.png: it is not drawn: File name too long" in stderr
    assert len((tmp_path / "found" / "landmarks.csv").read_text().splitlines()) == 4
    assert (tmp_path / "found" / "overlays" / "c.png.png").exists()


def test_what_a_folder_has_that_is_left_out_is_said(lmkit, trained, tmp_path):
    draw(tmp_path / "data", [b"a.png"])
    (tmp_path / "data" / "clip.mp4").write_bytes(b"frames")
    code, _, stderr = lmkit("predict", trained, "data", "--out=found")
    assert code == 0
    assert "Videos left out: 1, clip.mp4. Take their frames out" in stderr
