"""``lmkit data check`` as users type it: tables, JSON, sheets and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode


@pytest.fixture
def folder(tmp_path):
    """Forty images of noise, and below a CSV beside them that says which of them test."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 256, (20, 26, 3), np.uint8)
        Image.fromarray(noise).save(root / f"{number:02}.png")
    lines = [f"{number:02}.png,{'test' if number > 33 else 'train'},5,6" for number in range(40)]
    (root / "t.csv").write_text("\n".join(["file,split,nose_x,nose_y", *lines]))
    return root


def test_sound_data_in_a_process_of_its_own(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lmkit", "data", "check", str(folder), "--set=run.image_size=24"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["images", "40"] in rows
    assert ["width:", "least,", "median,", "most", "26,", "26,", "26"] in rows
    assert ["smaller", "than", "24", "pixels", "40"] in rows
    assert "Nothing is wrong with it." in done.stdout
    assert (tmp_path / "data-check" / "sample.png").exists()
    assert done.stderr == ""


def test_findings_are_listed_and_strict_minds_them(folder, lmkit, tmp_path):
    (folder / "35.png").write_bytes((folder / "03.png").read_bytes())
    spec = f"csv:{folder / 't.csv'}"
    code, stdout, stderr = lmkit("data", "check", spec, "--out", "found")
    assert (code, stderr) == (0, "")
    assert "Warning: 1 test image in training too" in stdout
    assert "03.png = 35.png" in stdout
    assert f"Written: {', '.join(f'found/{name}' for name in ('report.json', 'sample.png'))}" in (
        stdout
    )
    assert (tmp_path / "found" / "alike.png").exists()
    assert "Points: nose\n" in stdout
    assert lmkit("data", "check", spec, "--strict")[0] == ExitCode.DATA
    (folder / "35.png").unlink()
    noise = np.random.default_rng(99).integers(0, 256, (20, 26, 3), np.uint8)
    Image.fromarray(noise).save(folder / "35.png")
    assert lmkit("data", "check", spec, "--strict")[0] == 0


def test_the_json_is_alone_on_stdout_and_in_the_folder(folder, lmkit):
    code, stdout, _ = lmkit("data", "check", folder, "--json", "--out", "found", "--quick")
    assert code == 0
    printed = json.loads(stdout)
    files = printed.pop("files")
    assert files == ["found/report.json", "found/sample.png"]
    assert json.loads(Path(files[0]).read_text(encoding="utf-8")) == printed
    assert printed["quick"] is True
    assert printed["counts"]["images"] == 40
    assert printed["sizes"] is None


def test_quick_says_what_it_left_out(folder, lmkit):
    stdout = lmkit("data", "check", folder, "--quick")[1]
    assert "were not read (--quick)" in stdout
    assert "smaller" not in stdout


def test_data_that_training_would_refuse(folder, lmkit):
    for number in range(5):
        whole = (folder / f"{number:02}.png").read_bytes()
        (folder / f"{number:02}.png").write_bytes(whole[:-400])
    code, stdout, stderr = lmkit("data", "check", folder)
    assert (code, stderr) == (ExitCode.DATA, "")
    assert "Problem: 5 of 40 images (12.5%) cannot be read" in stdout
    assert stdout.index("Problem") < stdout.index("Warning: 5 images cannot be read")
    assert lmkit("data", "check", folder, "--set", "loading.max_unreadable=0.2")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["absent"], ExitCode.DATA, "absent is neither a folder nor a kind of data"),
        (["faces", "--set", "data.count=0"], ExitCode.USAGE, "Generated data cannot be"),
        (["faces", "--set", "data.cuont=9"], ExitCode.USAGE, "Did you mean 'count'?"),
        (["faces", "--set", "detector.depth=3"], ExitCode.USAGE, "Set options of data, loading"),
        ([], ExitCode.USAGE, "Missing argument 'SPEC'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input(lmkit, words, code, says):
    got, stdout, stderr = lmkit("data", "check", *words)
    assert (got, stdout) == (code, "")
    assert says in " ".join(stderr.split())
    assert "Traceback" not in stderr


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(folder, lmkit):
    code, stdout, stderr = lmkit("data", "check", folder, "--out", folder / "00.png")
    assert (code, stdout) == (ExitCode.STORAGE, "")
    assert "00.png" in stderr


def test_there_is_no_other_command(lmkit):
    code, _, stderr = lmkit("data", "chekc")
    assert code == ExitCode.USAGE
    assert "No such command 'chekc'" in stderr
    assert lmkit("data", "--help")[1].count("Count, measure and compare images") == 1
