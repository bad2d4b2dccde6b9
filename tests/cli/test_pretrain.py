"""``lmkit pretrain`` as users type it, and training that starts from its runs."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lmkit.cli.main import main
from lmkit.errors import ExitCode

NETWORKS = ("--set=detector.features=8", "--set=detector.depth=1")
SMALL = ("--device=cpu", "--batch-size=4", "--image-size=32", "--set=run.log_every=1", *NETWORKS)
TINY = ("--recipe=pretrain-quick", "--set=data.count=24", "--set=optimizer.decay_every=9", *SMALL)
GENERATOR = ("--set=generator.width=4", "--set=generator.blocks=1")


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 0


def tensors(run, name="detector"):
    newest = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name[5:]))
    return load_file(newest / f"{name}.safetensors")


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """A finished run of ``lmkit pretrain``; to be read, not changed."""
    out = tmp_path_factory.mktemp("core") / "run"
    call("pretrain", *TINY, "--steps=4", "--out", out)
    return out


@pytest.fixture
def refused(lmkit):
    """Call the command line, and check that it refuses as it should."""

    def check(*arguments, code, says):
        exit_code, stdout, stderr = lmkit(*arguments)
        assert (exit_code, stdout) == (code, ""), stderr
        for words in says:
            assert words in " ".join(stderr.split())

    return check


def test_it_learns_as_many_landmarks_as_there_are_points_and_tells_the_direct_error(
    lmkit, tmp_path
):
    code, stdout, stderr = lmkit("pretrain", *TINY, "--steps=2", "--out", "run", "--json")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert report["step"] == 2
    assert report["evaluation"]["direct"]["nme"] > 0
    assert report["evaluation"]["mean_shape"]["nme"] > 0
    assert "Direct error on 4 held-out images" in stderr
    assert "(mean shape: " in stderr
    run = tmp_path / "run"
    assert f"lmkit train --set detector.init=projection --set detector.core={run}" in stderr
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert settings["run"]["landmarks"] == 5
    assert settings["generator"] == {"name": "none"}
    assert {path.name for path in (run / "sheets").iterdir()} == {"landmarks-000002.png"}


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(lmkit, core, tmp_path):
    code, _, stderr = lmkit("pretrain", *TINY, "--steps=2", "--out", "parts")
    assert code == 0, stderr
    code, _, stderr = lmkit("pretrain", "--resume", "parts", "--steps=4")
    assert code == 0, stderr
    assert "Direct error on 4 held-out images" in stderr
    for name in ("detector", "optimizer"):
        whole, parts = tensors(core, name), tensors(tmp_path / "parts", name)
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_its_runs_are_runs_like_any_other(lmkit, core, tmp_path):
    code, stdout, stderr = lmkit("evaluate", core, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["mean_shape"]["nme"] > 0
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    code, stdout, stderr = lmkit("predict", core, "a.png", "--out", "found")
    assert code == 0, stderr
    shutil.copytree(core, tmp_path / "again")
    code, _, stderr = lmkit("train", "--resume", "again", "--steps=5")
    assert code == 0, stderr


@pytest.mark.parametrize("init", ["projection", "finetune"])
def test_training_starts_from_it_and_never_needs_it_again(lmkit, core, tmp_path, init):
    own = shutil.copytree(core, tmp_path / "core")
    start = ("--set", f"detector.init={init}", "--set", "detector.core=core")
    train = ("train", "--recipe=quickstart", "--set=data.count=24", *SMALL, *GENERATOR, *start)
    code, _, stderr = lmkit(*train, "--steps=1", "--out", "run")
    assert code == 0, stderr
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["run"]["landmarks"] == 30
    assert settings["detector"]["core"] == str(own)
    shutil.rmtree(own)
    for again in (("evaluate", "run"), ("train", "--resume", "run", "--steps=2")):
        code, _, stderr = lmkit(*again)
        assert code == 0, stderr


def test_the_recipe_sanchez_needs_a_core_and_starts_from_it(lmkit, core, tmp_path):
    sizes = ("--set=data.count=24", "--landmarks=4", "--loss=mse", "--steps=1")
    train = ("train", "--recipe=sanchez", *sizes, *SMALL, *GENERATOR, "--out", "run")
    code, _, stderr = lmkit(*train)
    assert code != 0
    assert "detector.core" in stderr
    like_the_core = ("--set", f"detector.core={core}", "--set", "detector.blocks=plain")
    code, _, stderr = lmkit(*train, *like_the_core)
    assert code == 0, stderr
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["detector"]["init"] == "projection"


def test_a_projection_trains_what_the_paper_s_does_and_changes_nothing_else(tmp_path):
    """The paper's hourglass, pretrained on sixteen points, on images small enough for a test."""
    rng = np.random.default_rng(0)
    with (tmp_path / "poses.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *(f"{axis}{number}" for number in range(16) for axis in "xy")])
        for number in range(4):
            image = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            writer.writerow([f"{number}.png", *rng.uniform(8, 56, 32).round(1)])
    small = ("--device=cpu", "--steps=1", "--batch-size=2", "--image-size=64")
    core, run = tmp_path / "core", tmp_path / "run"
    data = ("--data", f"csv:{tmp_path / 'poses.csv'}", "--set=loading.held_out=0")
    call("pretrain", "--recipe=pretrain", *data, *small, "--out", core)
    start = ("--set=detector.init=projection", f"--set=detector.core={core}", *GENERATOR)
    losses = ("--loss=mse", "--set=data.count=4")
    call("train", "--recipe=paper", *small, *start, *losses, "--out", run)

    lent, own = tensors(core), tensors(run)
    assert own["heads.0.weight"].shape[0] == 10
    assert lent["heads.0.weight"].shape[0] == 16
    trained = tensors(run, "optimizer")
    learned = sum(value.numel() for key, value in trained.items() if key.endswith(".exp_avg"))
    generator = tensors(run, "generator")
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    learned -= sum(v.numel() for key, v in generator.items() if not key.endswith(buffers))
    assert learned == 514_698

    matrices = {name for name in own if name.endswith(".projection")}
    frozen = {name.removesuffix("projection") + "weight" for name in matrices}
    # Three in each of the 3 blocks of the stem, the 3 * 4 + 1 of the hourglass and the one after.
    assert len(frozen) == 3 * (3 + 13 + 1)
    assert all(own[name].shape[-2:] == (3, 3) for name in frozen)
    heads = {name for name in own if name.startswith("heads.")}
    assert own.keys() - lent.keys() == matrices
    unchanged = {name for name in lent.keys() - heads if torch.equal(lent[name], own[name])}
    # Each of the two took one step, so that the counters of BatchNorm, at least, went on.
    assert unchanged == frozen
    assert all(not torch.equal(own[name], torch.eye(len(own[name]))) for name in matrices)


def test_without_a_recipe_it_says_which_it_takes(lmkit):
    code, _, stderr = lmkit("pretrain", "--set=data.count=24", *SMALL, "--dry-run")
    assert code == 0
    assert "taking 'pretrain-quick'" in stderr
    assert "--recipe pretrain is" in stderr


def test_what_it_refuses(refused, core, tmp_path):
    usage, data = ExitCode.USAGE, ExitCode.DATA
    pretrain = ("pretrain", *TINY, "--steps=1", "--out", "run")
    says = ("run.landmarks=7 does not fit the data", "one of 5 annotated points", "Leave it out")
    refused(*pretrain, "--set", "run.landmarks=7", code=usage, says=says)
    says = ("No loss learns from annotated points (mse)", "--recipe pretrain")
    recipe = ("--recipe", "reconstruction-quick")
    refused("pretrain", *recipe, "--out", "run", code=usage, says=says)
    (tmp_path / "photos").mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.png")
    says = ("The data 'folder' has no annotated points", "lmkit train needs none")
    small = ("--recipe=pretrain-quick", *SMALL, "--out", "run")
    refused("pretrain", "--data", "photos", *small, code=data, says=says)
    says = ("A loss learns from annotated points, and the data has none",)
    train = ("train", "--landmarks=5", "--data", "photos")
    refused(*train, *small, code=data, says=says)
    resume = ("pretrain", "--resume", core, "--steps=9")
    says = ("--recipe does not go with --resume",)
    refused(*resume, "--recipe", "pretrain", code=usage, says=says)
    assert not (tmp_path / "run").exists()


def test_cores_that_do_not_serve(refused, core, tmp_path):
    train = ("train", "--recipe=quickstart", "--set=data.count=24", *SMALL, *GENERATOR)
    train = (*train, "--set=detector.init=projection", "--out", "run", "--set")
    (tmp_path / "empty").mkdir()
    data = ExitCode.DATA
    says = ("detector.core=", "empty is a folder that holds neither a run nor a checkpoint")
    refused(*train, "detector.core=empty", code=data, says=says)
    wider = ("--set", "detector.features=16")
    says = ("does not hold this hourglass's weights", "detector.features")
    refused(*train, f"detector.core={core}", *wider, code=data, says=says)
    assert not (tmp_path / "run").exists()
