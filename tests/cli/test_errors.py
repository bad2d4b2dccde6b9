"""Wrong input: one clear message with its remedy, the documented exit code, and nothing else."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from lmkit.cli.main import main
from lmkit.errors import ExitCode

TINY = (
    *(
        "--recipe=reconstruction-quick",
        "--device=cpu",
        "--steps=1",
        "--batch-size=4",
        "--landmarks=3",
    ),
    *("--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--set=generator.width=4", "--set=generator.blocks=1"),
)
FACES = "--set=data.count=12"


@pytest.fixture
def refused(lmkit):
    """Call the command line, and check that it refuses as it should."""

    def call(*arguments, code, says):
        exit_code, stdout, stderr = lmkit(*arguments)
        assert exit_code == code, stderr
        assert stdout == ""
        assert "Traceback" not in stderr
        for words in (says,) if isinstance(says, str) else says:
            assert words in " ".join(stderr.split())
        return stderr

    return call


def image(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def album(path, count=6):
    for number in range(count):
        image(path / f"{number}.png", number)
    return path


USAGE = {
    "unknown command": (["trian"], "There is no command 'trian'. Did you mean 'train'?"),
    "unknown kind": (["show", "detectr", "x"], "no kind 'detectr'. Did you mean 'detector'?"),
    "unknown kind to list": (["list", "losss"], "no kind or listing 'losss'. Did you mean 'loss'?"),
    "unknown component": (
        ["train", *TINY, "--detector", "hourglas"],
        ("detector 'hourglas'", "Did you mean 'hourglass'?"),
    ),
    "unknown component to show": (["show", "loss", "msee"], ("'msee'", "Did you mean 'mse'?")),
    "unknown recipe": (["train", "--recipe", "papr"], ("recipe 'papr'", "Did you mean 'paper'?")),
    "unknown option": (
        ["train", *TINY, "--set", "detector.dept=3"],
        ("detector", "'dept'", "Did you mean 'depth'?"),
    ),
    "unknown section": (
        ["train", *TINY, "--set", "detecter.depth=3"],
        ("--set: there is no section 'detecter'", "Did you mean 'detector'?"),
    ),
    "option of a former component": (
        ["train", *TINY, "--deformation", "tps", "--set", "deformation.max_rotatio=3"],
        "'max_rotatio'",
    ),
    "wrong type": (
        ["train", *TINY, "--set", "detector.depth=deep"],
        ("detector.depth", "whole number"),
    ),
    "wrong choice": (["train", *TINY, "--set", "detector.init=guess"], ("scratch", "finetune")),
    "not an assignment": (["train", *TINY, "--set", "depth"], "--set depth is not section.key"),
    "flag of the wrong type": (["train", "--landmarks", "many"], ("--landmarks", "many")),
    "misspelled flag": (["train", "--stps", "3"], ("--stps", "--steps")),
    "argument too many": (["plugins", "lmkit"], "lmkit"),
    "no argument": (["evaluate"], "Missing argument 'RUN'"),
    "no out": (["predict", "run", "a.png"], "--out"),
    "K = 0": (["train", *TINY, "--landmarks", "0"], "run.landmarks=0 is too small. Give a number"),
    "no steps": (["train", *TINY, "--steps", "0"], "run.steps=0 is too small"),
    "a batch of one": (
        ["train", *TINY, FACES, "--batch-size", "1"],
        ("A batch of 1 has no other image", "'inter-intra'", "--batch-size 2"),
    ),
    "a batch larger than the data": (
        ["train", *TINY, FACES, "--batch-size", "50"],
        ("fewer than the 50 of a batch", "smaller --batch-size"),
    ),
    "a loss without routes": (
        ["train", *TINY, FACES, "--generator", "none"],
        ("'mse' compares reconstructions", "Choose a generator"),
    ),
    "no such device": (["train", *TINY, "--device", "gpu"], ("--device gpu", "auto, cpu")),
    "no such cuda device": (["train", *TINY, "--device", "cuda:77"], ("--device cuda:77", "auto")),
    "no config": (["train", "--config", "absent.toml"], ("absent.toml", "path of a TOML file")),
    "projection without a core": (
        ["train", *TINY, FACES, "--set", "detector.init=projection"],
        ("detector.init=projection needs", "detector.core=FILE"),
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(refused, tmp_path, case):
    arguments, says = USAGE[case]
    out = ["--out", "run"] if arguments[0] == "train" else []
    refused(*arguments, *out, code=ExitCode.USAGE, says=says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = ", "my.toml is not TOML"),
        ("[run]\nstepz = 3", ("run", "'stepz'", "Did you mean 'steps'?")),
        ("run = 3", "my.toml: run is a single value"),
        ('based_on = "papr"', "Did you mean 'paper'?"),
        ("losses = 3", "losses"),
    ],
)
def test_config(refused, tmp_path, text, says):
    (tmp_path / "my.toml").write_text(text)
    refused("train", "--config", "my.toml", "--out", "run", code=ExitCode.USAGE, says=says)
    assert not (tmp_path / "run").exists()


def test_a_missing_or_empty_folder(refused, tmp_path):
    data = ExitCode.DATA
    train = ["train", *TINY, "--out", "run", "--data"]
    refused(*train, "absent", code=data, says=("absent is neither a folder", "path of a folder"))
    refused(*train, "folder:absent", code=data, says=("absent does not exist", "--data"))
    refused(*train, "csv:absent.csv", code=data, says="absent.csv")
    refused(*train, "facse", code=data, says="Did you mean 'faces'?")
    (tmp_path / "empty").mkdir()
    refused(*train, "empty", code=data, says=("empty holds no image", ".jpg"))
    image(tmp_path / "one.png")
    refused(*train, "one.png", code=data, says=("one.png is a file, not a folder", "csv:one.png"))
    assert not (tmp_path / "run").exists()


def test_text_that_is_named_as_an_image(refused, lmkit, tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(6):
        (tmp_path / "texts" / f"{number}.jpg").write_text("no image")
    train = ["train", *TINY, "--out", "run", "--data"]
    says = ("6 of 6 images", "cannot be read", "0.jpg", "not an image of a known format")
    refused(*train, "texts", code=ExitCode.DATA, says=says)
    album(tmp_path / "mixed", 11)
    (tmp_path / "mixed" / "text.jpg").write_text("no image")
    says = ("1 of 12 images", "text.jpg", "--set loading.max_unreadable=")
    refused(*train, "mixed", code=ExitCode.DATA, says=says)
    assert not (tmp_path / "run").exists()
    code, _, stderr = lmkit(*train, "mixed", "--set", "loading.max_unreadable=0.1")
    assert code == 0
    assert "1 unreadable image is left out." in stderr
    assert "unreadable.json lists them" in stderr


def test_a_folder_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").touch()
    says = ("file/run cannot be written: Not a directory", "give a folder that can be written")
    out = tmp_path / "file" / "run"
    refused("train", *TINY, FACES, "--out", out, code=ExitCode.STORAGE, says=says)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    out = tmp_path / "locked" / "run"
    says = "cannot be written: Permission denied"
    refused("train", *TINY, FACES, "--out", out, code=ExitCode.STORAGE, says=says)


def test_a_folder_that_is_taken(refused, trained, tmp_path):
    train = ["train", *TINY, FACES, "--out"]
    says = (f"--out {trained} holds a run already", f"--resume {trained}")
    refused(*train, trained, code=ExitCode.RUN, says=says)
    image(tmp_path / "photos" / "x.png")
    refused(*train, "photos", code=ExitCode.RUN, says=("photos is not empty", "Give a folder"))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["x.png"]


def test_what_does_not_go_with_resume(refused, trained):
    for flag, value in (("--recipe", "paper"), ("--out", "other")):
        says = (f"{flag} does not go with --resume", f"Leave {flag} out")
        resume = ["train", "--resume", trained, "--steps", "9"]
        refused(*resume, flag, value, code=ExitCode.USAGE, says=says)
    refused("train", "--resume", trained, "--dry-run", code=ExitCode.USAGE, says="--dry-run")


def test_a_resume_with_other_settings(refused, trained):
    resume = ["train", "--resume", trained, "--steps", "9"]
    says = ("trained with other settings: run.seed was 0 and is to be 3.", "Resume without them")
    refused(*resume, "--seed", "3", code=ExitCode.RUN, says=says)
    says = "detector.depth was 1 and is to be 2"
    refused(*resume, "--set", "detector.depth=2", code=ExitCode.RUN, says=says)
    says = ("is at step 4 already, of 4", "--steps 8")
    refused("train", "--resume", trained, code=ExitCode.USAGE, says=says)


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_flipped_byte(refused, copied, tmp_path):
    file = copied / "checkpoints" / "step-4" / "detector.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    face = image(tmp_path / "face.png")
    says = ("step-4 is damaged", "SHA-256", "Move that folder away. step-2 is then taken.")
    run = ExitCode.RUN
    refused("train", "--resume", copied, "--steps", "6", code=run, says=says)
    refused("evaluate", copied, "--json", code=run, says=says)
    refused("predict", copied, face, "--out", "pred", code=run, says=says)
    assert not (tmp_path / "pred").exists()


def test_no_run(refused, tmp_path):
    run = ExitCode.RUN
    image(tmp_path / "a.png")
    for command in (["evaluate"], ["predict", "--out", "pred"], ["train", "--resume"]):
        arguments = ["a.png"] if command[0] == "predict" else []
        says = ("absent is not a folder", "--out")
        refused(*command, "absent", *arguments, code=run, says=says)
        refused(*command, tmp_path, *arguments, code=run, says="run.json is missing")


def test_a_damaged_record(refused, copied):
    (copied / "run.json").write_text("{")
    says = ("run.json cannot be read", "restore the file")
    refused("evaluate", copied, code=ExitCode.RUN, says=says)
    (copied / "run.json").write_text(json.dumps([]))
    says = ("run.json cannot be read: it holds no table", "restore the file")
    refused("evaluate", copied, code=ExitCode.RUN, says=says)


def test_evaluation_on_data_that_does_not_serve(refused, trained):
    says = (
        "loading.fit=pad would change the run",
        "loading.held_out, loading.split_seed and loading.max_unreadable may be set",
    )
    arguments = ["evaluate", trained, "--set", "loading.fit=pad"]
    refused(*arguments, code=ExitCode.USAGE, says=says)


def test_prediction_of_what_is_not_there(refused, trained, tmp_path):
    predict = ["predict", trained, "--out", "pred"]
    data = ExitCode.DATA
    refused(*predict, "absent.png", code=data, says=("absent.png does not exist", "image files"))
    (tmp_path / "text.jpg").write_text("no image")
    refused(*predict, "text.jpg", code=data, says="text.jpg cannot be read: it is not an image")
    (tmp_path / "empty").mkdir()
    refused(*predict, "empty", code=data, says="empty holds no image")
    says = ("'xml' is not one of 'csv', 'json'",)
    refused(*predict, "a.png", "--format", "xml", code=ExitCode.USAGE, says=says)


def test_a_traceback_on_request(lmkit, monkeypatch):
    from lmkit.errors import LmkitError

    monkeypatch.setenv("LMKIT_TRACEBACK", "1")
    with pytest.raises(LmkitError, match="no command 'trian'"):
        main(["trian"])


def test_ctrl_c_before_training_starts(lmkit, monkeypatch):
    from lmkit.registry import lookup

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(lookup, "installed", interrupted)
    code, stdout, stderr = lmkit("list")
    assert (code, stdout, stderr.strip()) == (130, "", "Stopped.")
