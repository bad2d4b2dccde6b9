"""The plugin in one file that the README shows: taken out of it, and used as it says there."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lmkit
from lmkit.cli.main import main
from lmkit.errors import LmkitError
from lmkit.registry import local, lookup

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SMALL = [
    *("--recipe", "reconstruction-quick", "--device", "cpu", "--image-size", "32"),
    *("--batch-size", "4", "--landmarks", "3", "--steps", "2", "--set", "data.count=24"),
    *("--set", "generator.width=4", "--set", "run.sheet_every=0"),
]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Call]:
    """Call the command line beside the file; ``new`` stands for another process."""
    monkeypatch.setenv(local.VARIABLE, "")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    code = re.search(r'```python\n("""A loss in one file.*?)```', README, re.S)
    assert code is not None
    assert len(code[1].splitlines()) <= 32
    Path("my_loss.py").write_text(code[1])

    def forget() -> None:
        sys.modules.pop("my_loss", None)
        lookup.installed.cache_clear()

    def call(*words: str) -> tuple[int, str, str]:
        forget()
        monkeypatch.setenv(local.VARIABLE, "")
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    yield call
    forget()


def test_the_readmes_commands_train_show_and_check_it(call: Call) -> None:
    commands = re.findall(r"^    lmkit (.*my_loss\.py.*?)(?:  #.*)?$", README, re.M)
    assert [words.split()[0] for words in commands] == ["train", "show", "check-plugin"]
    train, show, check = (words.split() for words in commands)
    code, _, err = call(*train, *SMALL, "--out", "run")
    assert code == 0, err
    (last,) = Path("run/metrics.jsonl").read_text().splitlines()[-1:]
    assert {"loss", "loss/mine"} <= json.loads(last).keys()
    code, out, _ = call(*show)
    assert code == 0
    assert "softness" in out
    code, out, _ = call(*check)
    assert code == 0, out
    assert "passed   loss mine: gradients arrive\n" in out


def test_its_run_says_what_it_needs_and_goes_on_where_that_is_there(call: Call) -> None:
    path = Path("my_loss.py").absolute()
    assert call("train", "--plugin", "my_loss.py", "--loss", "mine", *SMALL, "--out", "run")[0] == 0
    record = json.loads(Path("run/run.json").read_text())
    (origin,) = [each for each in record["components"] if each["section"] == "loss.mine"]
    assert origin["given"] == origin["file"] == str(path)
    assert origin["sha256"] == local.digest(path)
    # As it was: found without a word.
    code, _, err = call("train", "--resume", "run", "--steps", "3")
    assert code == 0, err
    # Changed: one message, and a note to whoever takes it all the same.
    path.write_text(path.read_text() + "\n# Another line.\n")
    code, _, err = call("train", "--resume", "run", "--steps", "4")
    assert code == 4
    assert "needs the loss 'mine', which is not here" in err
    assert f"my_loss.py (SHA-256 {origin['sha256']}), which has changed since" in err
    code, _, err = call("train", "--resume", "run", "--steps", "4", "--plugin", str(path))
    assert code == 0, err
    assert f"was trained with my_loss.py sha256:{origin['sha256'][:12]}, and here is" in err
    # Elsewhere, where nobody has it: the detector alone is needed to predict.
    path.unlink()
    assert lmkit.open_run("run", device="cpu").step == 4
    code, _, err = call("train", "--resume", "run", "--steps", "5")
    assert code == 4
    assert "which is not there any more" in err


def test_python_takes_it_too(call: Call) -> None:
    settings = {
        "run": {"steps": 1, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
        "data": {"count": 24},
        "generator": {"width": 4},
        "loss": {"mine": {"softness": 0.2}},
    }
    run = lmkit.train(
        recipe="reconstruction-quick", out="run", settings=settings, plugins=["my_loss.py"]
    )
    assert run.full_settings.loss["mine"]["softness"] == 0.2
    lookup.installed.cache_clear()
    assert lmkit.open_run("run", device="cpu", plugins=["my_loss.py"]).full_settings.loss["mine"]
    with pytest.raises(LmkitError, match="cannot be read"):
        lmkit.open_run("run", plugins=["other.py"])
