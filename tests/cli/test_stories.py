"""What users do, in real processes: train, evaluate, predict, stop, resume, crash, run out of disk.

Whatever is compared bit by bit was computed by processes started alike.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import lmkit
from lmkit.cli.main import cli, main
from lmkit.errors import LmkitError

TINY = (
    *(
        "--recipe=reconstruction-quick",
        "--device=cpu",
        "--batch-size=4",
        "--landmarks=3",
        "--image-size=32",
    ),
    *("--set=detector.features=8", "--set=detector.depth=1", "--set=generator.width=4"),
    *("--set=generator.blocks=1", "--set=data.count=24", "--set=run.log_every=1"),
)
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    "PYTHONUNBUFFERED": "1",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def command(*arguments):
    return [sys.executable, "-m", "lmkit", *map(str, arguments)]


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=ENVIRONMENT, check=False, **options
    )


def begin(*arguments):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def wait_for(process, words):
    """Read what a process says until it says the words."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


def weights(out, step):
    found = {}
    for file in sorted((out / "checkpoints" / f"step-{step}").glob("*.safetensors")):
        found |= {f"{file.name}/{key}": value for key, value in load_file(file).items()}
    assert found
    return found


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 12 steps, and what its process said."""
    out = tmp_path_factory.mktemp("stories") / "whole"
    done = run("train", *TINY, "--steps=12", "--checkpoint-every=6", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.fixture
def here(capsys):
    """Call the command line in this process; return its stdout and stderr."""

    def call(*arguments, code=0):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        return out, err

    return call


def test_training_reports_on_stderr_and_its_result_on_stdout(whole):
    out, done = whole
    report = json.loads(done.stdout)
    assert report["run"] == str(out)
    assert report["step"] == 12
    assert report["evaluation"]["forward"]["nme"] > 0
    assert "\x1b" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("step 1/12  loss ")
    assert lines[0].endswith(" left")
    assert any(line.endswith("checkpoints/step-6") for line in lines)
    assert f"Next: lmkit predict {out} IMAGES --out DIR" in lines
    # However short the run was.
    (error,) = (line for line in lines if line.startswith("Error on 4 held-out images: "))
    untrained = report["evaluation"]["controls"]["untrained"]["nme"]
    assert f"(untrained: {untrained:.2f} %, mean shape: " in error
    assert any(line.startswith("Health: At fault are ") for line in lines)
    assert f"Verdict: {report['evaluation']['label_free']['verdict']['finding']}" in done.stderr
    assert {path.name for path in (out / "sheets").iterdir()} == {
        "landmarks-000012.png",
        "routes-000012.png",
    }
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 12)


def test_evaluation_prints_json_alone(whole):
    done = run("evaluate", whole[0], "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    trained = json.loads(whole[1].stdout)["evaluation"]
    assert done.stderr == ""
    assert report == json.loads((whole[0] / "evaluation" / "evaluation.json").read_text())
    # What costs more than looking at each image once is left out at the end of training.
    assert (trained["stability"], trained["labelled"]) == (None, [])
    assert report["stability"]["images"] == 4
    assert [row["number"] for row in report["labelled"]] == [1, 5, 10]
    for control in report["controls"].values():
        control["stability"] = None
    assert {**report, "stability": None, "labelled": []} == trained


def test_evaluation_prints_a_table(whole, here):
    out, err = here("evaluate", whole[0])
    assert "mean shape" in out
    assert "Fitted on 20 and tested on 4 images of faces" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert err == ""


def test_prediction(whole, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, mode in (("a.png", "RGB"), ("grey.png", "L"), ("alpha.png", "RGBA")):
        noise = np.random.default_rng(0).integers(0, 256, (50, 70, 4), np.uint8)
        Image.fromarray(noise).convert(mode).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    out, err = here("predict", whole[0], "photos", "--out", "pred")
    assert out.splitlines() == ["3 images: pred/landmarks.csv", "Drawn in pred/overlays"]
    assert err == "Skipped text.jpg: it is not an image of a known format\n"
    assert (tmp_path / "pred" / "overlays" / "grey.png.png").is_file()
    again = ("predict", whole[0], ".", "photos/a.png", "--out", "pred", "--format", "json")
    report = json.loads(here(*again, "--json", "--no-overlays")[0])
    assert report["images"] == 3
    assert report["landmarks"] == "pred/landmarks.json"
    entries = json.loads((tmp_path / "pred" / "landmarks.json").read_text())
    assert [entry["width"] for entry in entries] == [70, 70, 70]


def test_prediction_says_how_far_it_got(whole, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(noise).save(tmp_path / "photos" / "0.png")
    for number in range(1, 5000):
        (tmp_path / "photos" / f"{number}.png").hardlink_to(tmp_path / "photos" / "0.png")
    out = tmp_path / "pred"
    process = begin("predict", whole[0], tmp_path / "photos", "--out", out, "--workers=2")
    while not (out / "overlays").is_dir():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    said = f"Stopped after ([0-9]+) of 5000 images: {out}/landmarks.csv was not written."
    assert int(re.fullmatch(said, stderr.strip())[1]) < 5000
    assert [path.name for path in out.iterdir()] == ["overlays"]


def test_a_dry_run_writes_nothing(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = here("train", *TINY, "--steps=12", "--dry-run")
    assert "original -> auxiliary -> deformed" in out
    assert "trainable parameters, detector" in out
    assert err == ""
    plan = json.loads(here("train", *TINY, "--steps=12", "--dry-run", "--json")[0])
    assert plan["settings"]["run"]["steps"] == 12
    assert plan["images"] == {"train": 20, "fit": 20, "test": 4}
    assert plan["device"] == "cpu"
    odd = ("--set=loading.partner=subject", "--set=data.count=23")
    plan = json.loads(here("train", *TINY, *odd, "--dry-run", "--json")[0])
    assert plan["images"] == {"train": 20, "fit": 20, "test": 3, "without_partner": 0}
    assert "train, without a partner" in here("train", *TINY, *odd, "--dry-run")[0]
    assert list(tmp_path.iterdir()) == []


def test_without_a_recipe_it_says_which_it_takes_and_why(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, err = here("train", *TINY[1:], "--dry-run")
    said = " ".join(err.split())
    assert "taking 'quickstart'" in said
    assert "for generated faces on every device" in said
    assert "--recipe paper is the full method" in said


def test_the_first_run_is_the_same_with_a_gpu(monkeypatch):
    """In this process, where there can seem to be one."""
    taken = []

    def stop(name, known):
        taken.append(name)
        raise LmkitError("Far enough.", remedy="None.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr("lmkit.settings.layers.read_recipe", stop)
    monkeypatch.setattr("lmkit.training.session.read_recipe", stop)
    for words in (["train"], ["bench"], ["sweep", "--out", "x"], ["pretrain"]):
        with pytest.raises(LmkitError, match="Far enough"):
            cli.main(words, standalone_mode=False)
    with pytest.raises(LmkitError, match="Far enough"):
        lmkit.train()
    assert taken == ["quickstart"] * 3 + ["pretrain-quick", "quickstart"]


def test_images_of_the_users_own_take_a_recipe_for_photographs(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "mine" / f"{number}.png")
    out, err = here("train", "--data", "mine", "--device", "cpu", "--dry-run", "--json")
    assert "taking 'photos'" in err
    assert "--recipe paper" in err
    assert json.loads(out)["settings"]["detector"]["name"] == "structure"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)],
)
def test_a_signal_saves_and_the_run_goes_on(tmp_path, here, number, code):
    out = tmp_path / "run"
    process = begin("train", *TINY, "--steps=100000", "--out", out)
    wait_for(process, "step 2/")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout == ""
    assert "Traceback" not in stderr
    assert f"Go on with: lmkit train --resume {out}" in " ".join(stderr.split())
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "stopped"
    here("train", "--resume", out, "--steps", status["step"] + 1)
    assert json.loads((out / "status.json").read_text())["step"] == status["step"] + 1


def test_a_killed_run_resumes_bitwise(whole, tmp_path):
    out = tmp_path / "run"
    process = begin("train", *TINY, "--steps=12", "--checkpoint-every=1", "--out", out)
    wait_for(process, "step 2/")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    # And once more, now while it writes a checkpoint.
    process = begin("train", "--resume", out)
    checkpoints = out / "checkpoints"
    wait_for(process, "step 4/")
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.suffix == ".partial" for path in checkpoints.iterdir()):
            process.kill()
            break
    process.communicate()
    done = run("train", "--resume", out)
    if process.returncode == 0:
        # The machine was too quick to be caught writing; then the run is finished.
        assert "is at step 12 already" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert same(weights(out, 12), weights(whole[0], 12))
    assert not list(checkpoints.glob(".*"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(whole, tmp_path):
    import resource

    out = shutil.copytree(whole[0], tmp_path / "run")
    before = weights(out, 12)

    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))

    resume = ("train", "--resume", out, "--steps", "14")
    done = run(*resume, preexec_fn=no_large_files)
    assert done.returncode == 7, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "step-14 cannot be written" in " ".join(done.stderr.split())
    # The limit, by which the test makes the disk full, is the shell's.
    assert "ulimit -f" in done.stderr
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-12", "step-6"]
    assert same(weights(out, 12), before)
    done = run(*resume)
    assert done.returncode == 0, done.stderr
    assert (out / "checkpoints" / "step-14").is_dir()
