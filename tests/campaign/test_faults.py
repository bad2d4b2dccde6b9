"""Whichever operation on a file fails, nothing saved is lost, and one message says what failed."""

import errno
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lmkit.cli.main import main
from lmkit.errors import ExitCode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc where a file lies")

TINY = (
    *("--recipe=reconstruction-quick", "--device=cpu", "--batch-size=4", "--landmarks=3"),
    *("--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--set=generator.width=4", "--set=generator.blocks=1", "--set=data.count=24"),
    *("--set=loading.workers=0", "--steps=4", "--checkpoint-every=2", "--set=run.log_every=1"),
)
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)
ALL = "every"
"""Of the campaign: each operation fails once; in the suite, one of some."""


def weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    found = {}
    for file in sorted((out / "checkpoints" / f"step-{step}").glob("*.safetensors")):
        found |= {f"{file.name}/{key}": value for key, value in load_file(file).items()}
    return found


class Command:
    """Runs ``lmkit`` in this process, with a fault or without."""

    def __init__(self, capsys, faults):
        self._capsys, self._faults = capsys, faults
        self.operations = 0

    def __call__(self, *arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        _, err = self._capsys.readouterr()
        assert "Traceback" not in err
        code = ended.value.code or 0
        assert code in set(ExitCode), err
        # A message of lmkit's own, not "report it to its author".
        assert code not in (ExitCode.INTERNAL, ExitCode.PLUGIN), err
        return int(code), err

    def failing(self, folder: Path, number: int, error: int, *arguments: object) -> tuple[int, str]:
        """Run it while the operation of that number fails; 0 only counts the operations."""
        faults = self._faults(folder, number, error)
        with pytest.MonkeyPatch.context() as patch:
            faults.watch(patch)
            code, err = self(*arguments)
        self.operations = len(faults.done)
        if code:
            assert err.count("Error:") == 1, err
        return code, err


@pytest.fixture
def command(capsys, faults, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Command(capsys, faults)


def numbers(count: int, every: str | int) -> range:
    return range(1, count + 1, 1 if every == ALL else int(every))


def how_many(slice_: int) -> pytest.MarkDecorator:
    campaign = [
        pytest.param(ALL, error, marks=pytest.mark.campaign, id=f"{ALL}-{errno.errorcode[error]}")
        for error in ERRORS
    ]
    return pytest.mark.parametrize(("every", "error"), [(slice_, errno.ENOSPC), *campaign])


@how_many(31)
def test_training_saves_or_says_why_not(command, tmp_path, every, error):
    whole = tmp_path / "whole"
    assert command.failing(tmp_path, 0, error, "train", *TINY, "--out", whole)[0] == 0
    expected = weights(whole, 4)
    for number in numbers(command.operations, every):
        out = tmp_path / f"run-{number}"
        code, err = command.failing(out, number, error, "train", *TINY, "--out", out)
        steps = [int(path.name[5:]) for path in out.glob("checkpoints/step-*")]
        for step in steps:
            state = json.loads((out / "checkpoints" / f"step-{step}" / "state.json").read_text())
            assert state["step"] == step
        if (out / "run.json").exists():
            if code:
                again, told = command("train", "--resume", out)
                # What failed may have come after the last step.
                assert again == 0 or "is at step 4 already" in told, (number, err, told)
        else:
            assert code, f"operation {number} left no run and said nothing"
            shutil.rmtree(out, ignore_errors=True)
            assert command("train", *TINY, "--out", out)[0] == 0
        found = weights(out, 4)
        assert found.keys() == expected.keys(), (number, err)
        assert all(torch.equal(found[key], expected[key]) for key in expected), number
        shutil.rmtree(out)


@how_many(37)
def test_an_evaluation_leaves_the_run_and_what_was_written_before(
    command, trained, tmp_path, every, error
):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    arguments = ("evaluate", run, "--device=cpu", "--out", tmp_path / "out")
    command.failing(tmp_path, 0, error, *arguments)
    report = (tmp_path / "out" / "evaluation.json").read_bytes()
    untouched = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for number in numbers(command.operations, every):
        _, err = command.failing(tmp_path, number, error, *arguments)
        assert "damaged:" not in err, (number, err)
        for path, content in untouched.items():
            assert path.read_bytes() == content, f"operation {number} changed {path}"
        assert (tmp_path / "out" / "evaluation.json").read_bytes() == report, number


@how_many(5)
def test_a_prediction_is_there_whole_or_as_it_was(command, trained, tmp_path, every, error):
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.linear_gradient("L").resize((40, 30 + number)).save(
            tmp_path / "images" / f"{number}.png"
        )
    out = tmp_path / "out"
    arguments = ("predict", trained, tmp_path / "images", "--device=cpu", "--workers=0")
    command.failing(out, 0, error, *arguments, "--out", out)
    expected = (out / "landmarks.csv").read_bytes()
    for number in numbers(command.operations, every):
        code, err = command.failing(out, number, error, *arguments, "--out", out)
        found = (out / "landmarks.csv").read_bytes()
        assert found == expected, (number, code, err)


@how_many(11)
def test_a_cache_is_there_whole_or_made_anew(command, tmp_path, every, error):
    (tmp_path / "images").mkdir()
    for number in range(8):
        Image.linear_gradient("L").resize((40, 30 + number)).save(
            tmp_path / "images" / f"{number}.png"
        )
    cache = tmp_path / "cache"
    settings = [part for part in TINY if "data." not in part]
    arguments = ("train", *settings, "--data", tmp_path / "images", "--steps=1")
    arguments += (f"--set=loading.cache={cache}",)
    command.failing(cache, 0, error, *arguments, "--out", tmp_path / "whole")
    expected = weights(tmp_path / "whole", 1)
    assert command.operations > 5
    for number in numbers(command.operations, every):
        shutil.rmtree(cache)
        out = tmp_path / f"run-{number}"
        code, err = command.failing(cache, number, error, *arguments, "--out", out)
        if code:
            shutil.rmtree(out, ignore_errors=True)
            assert command(*arguments, "--out", out)[0] == 0, err
        found = weights(out, 1)
        assert all(torch.equal(found[key], expected[key]) for key in expected), number
