"""Writers hear what a run produces, and what they do wrong is theirs alone."""

import json
import sys
from dataclasses import replace

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.lookup import installed
from lmkit.run.run import open_run
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import Layer, read_assignments
from lmkit.training.session import resume, start

HOOKS = """
from lmkit.api import Component, hookimpl

@hookimpl
def lmkit_components():
    return [Component("writer", "diary", "diary_of_a_test:Diary", "writes down what it hears")]
"""
DIARY = """
import json
from pathlib import Path
from lmkit.api import LmkitError, Writer

class Diary(Writer):
    argument = "file"

    def __init__(self, *, file: Path, fails_in: str = "", at: int = 0) -> None:
        self.file, self.fails_in, self.at = file, fails_in, at
        if fails_in == "__init__":
            raise LmkitError("No ink.", remedy="Buy some.")

    def note(self, method, step, *what):
        with self.file.open("a") as file:
            file.write(json.dumps([method, step, *map(str, what)]) + "\\n")
        if method == self.fails_in and step >= self.at:
            raise OSError("the pen\\n broke")

    def started(self, folder, settings, *, step, steps):
        settings["run"]["seed"] += 1  # Its own copy: nobody else is to see it.
        self.note("started", step, steps, folder.name, settings["detector"]["name"])

    def metrics(self, step, values):
        self.note("metrics", step, *sorted(values)[:2])
        values.clear()

    def sheet(self, step, name, path):
        assert path.is_file()
        self.note("sheet", step, name)

    def checkpoint(self, step, path):
        self.note("checkpoint", step, (path / "state.json").is_file())

    def ended(self, step, state):
        self.note("ended", step, state)
"""


class Notes(Callback):
    """Keeps what the user would be told."""

    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


@pytest.fixture
def diary(install, tmp_path, monkeypatch, tiny):
    """Install the writer; make settings with it: ``diary("a", "run.steps=2", fails_in="")``."""
    monkeypatch.delitem(sys.modules, "diary_of_a_test", raising=False)
    (tmp_path / "site" / "diary_of_a_test.py").write_text(DIARY)
    install("diary-package", HOOKS)

    def make(*assignments, **options):
        file = tmp_path / "diary.jsonl"
        chosen = {"name": "diary", "file": file, "fails_in": "", "at": 0} | options
        return replace(tiny(*assignments), writer={"diary": chosen})

    return make


@pytest.fixture
def heard(tmp_path):
    """Return what the writer wrote down: ``[[method, step, ...]]``."""

    def read(file="diary.jsonl"):
        return [json.loads(line) for line in (tmp_path / file).read_text().splitlines()]

    return read


SHORT = ("run.steps=4", "run.log_every=2", "run.checkpoint_every=2", "run.sheet_every=2")


def test_a_writer_hears_everything_in_order(diary, heard, tmp_path):
    run, _ = start(diary(*SHORT), tmp_path / "run", registry=installed())
    assert heard() == [
        ["started", 0, "4", "run", "hourglass"],
        ["metrics", 2, "data_wait", "gradient_norm/detector"],
        ["checkpoint", 2, "True"],
        ["sheet", 2, "landmarks"],
        ["sheet", 2, "routes"],
        ["metrics", 4, "data_wait", "gradient_norm/detector"],
        ["checkpoint", 4, "True"],
        ["sheet", 4, "landmarks"],
        ["sheet", 4, "routes"],
        ["ended", 4, "finished"],
    ]
    # What it does to what it is given reaches nobody else.
    assert run.settings.run.seed == 0
    assert "loss" in json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])


@pytest.mark.parametrize("method", ["started", "metrics", "sheet", "checkpoint", "ended"])
def test_a_writer_that_raises_is_named_once_and_left_alone(diary, heard, tmp_path, method):
    notes = Notes()
    settings = diary(*SHORT, fails_in=method)
    other = settings.writer["diary"] | {"file": tmp_path / "other.jsonl", "fails_in": ""}
    settings = replace(settings, writer={**settings.writer, "other": other})
    _, outcome = start(settings, tmp_path / "run", [notes], registry=installed())
    assert outcome.step == 4
    step = {"started": 0, "ended": 4}.get(method, 2)
    (note,) = notes.texts
    assert note.startswith(
        f"The writer 'diary' of plugin diary_package (package diary-package) failed in {method}() "
        f"at step {step}: OSError: the pen broke ("
    )
    assert note.endswith(
        "diary_of_a_test.py, line 18). It is switched off for the rest of the run. "
        "With LMKIT_STRICT_PLUGINS=1 the run would end."
    )
    assert heard()[-1][:2] == [method, step]
    assert heard("other.jsonl")[-1] == ["ended", 4, "finished"]


def test_strictness_ends_the_run_saved(diary, heard, tmp_path, monkeypatch):
    monkeypatch.setenv("LMKIT_STRICT_PLUGINS", "1")
    settings = diary("run.steps=5", "run.log_every=2", fails_in="metrics")
    with pytest.raises(LmkitError) as caught:
        start(settings, tmp_path / "run", registry=installed())
    assert caught.value.code is ExitCode.PLUGIN
    assert (
        "writer 'diary' of plugin diary_package (package diary-package) failed in metrics() at "
        in (caught.value.problem)
    )
    assert "Unset LMKIT_STRICT_PLUGINS" in caught.value.remedy
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 3)
    monkeypatch.delenv("LMKIT_STRICT_PLUGINS")
    without = Layer("test", writers=["none"])
    assert resume(tmp_path / "run", [without], registry=installed())[1].step == 5


@pytest.mark.parametrize(("method", "state"), [("started", "failed"), ("ended", "finished")])
def test_strictness_before_the_first_step_and_after_the_last(
    diary, tmp_path, monkeypatch, method, state
):
    monkeypatch.setenv("LMKIT_STRICT_PLUGINS", "1")
    with pytest.raises(LmkitError, match=rf"failed in {method}\(\)"):
        start(diary("run.steps=1", fails_in=method), tmp_path / "run", registry=installed())
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == state


def test_a_writer_that_cannot_work_is_refused_before_the_run(diary, tmp_path):
    with pytest.raises(LmkitError, match=r"No ink\. Buy some\."):
        start(diary(fails_in="__init__"), tmp_path / "run", registry=installed())
    assert not (tmp_path / "run").exists()


def test_writers_may_change_when_a_run_goes_on(diary, heard, tiny, tmp_path):
    out = tmp_path / "run"
    start(tiny("run.steps=1"), out)
    word = f"diary:{tmp_path / 'diary.jsonl'}"
    layers = [Layer("test", writers=[word]), read_assignments(["run.steps=2"])]
    resume(out, layers, registry=installed())
    assert heard()[0][:3] == ["started", 1, "2"]
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["writer"]["diary"]["file"] == str(tmp_path / "diary.jsonl")
    (origin,) = (each for each in record["components"] if each["kind"] == "writer")
    assert (origin["section"], origin["package"]) == ("writer.diary", "diary-package")
    # It stays until it is taken away.
    resume(out, [read_assignments(["run.steps=3"])], registry=installed())
    assert heard()[-1] == ["ended", 3, "finished"]
    layers = [Layer("test", writers=["none"]), read_assignments(["run.steps=4"])]
    resume(out, layers, registry=installed())
    assert heard()[-1] == ["ended", 3, "finished"]
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["writer"] == {}
    assert "writer" not in {each["kind"] for each in record["components"]}


def test_a_run_whose_writer_is_missing_can_be_used_but_not_continued(diary, tmp_path, monkeypatch):
    out = tmp_path / "run"
    start(diary("run.steps=1"), out, registry=installed())
    monkeypatch.setenv("LMKIT_DISABLE_PLUGINS", "diary_package")
    installed.cache_clear()
    assert open_run(out, device="cpu").detector is not None
    more = read_assignments(["run.steps=2"])
    with pytest.raises(LmkitError) as caught:
        resume(out, [more])
    assert "needs the writer 'diary', which is not here." in caught.value.problem
    assert caught.value.remedy == (
        "Install diary-package 1.2, which brings it. Or go on without it: --writer none. Plugins "
        "that are disabled: diary_package (LMKIT_DISABLE_PLUGINS)."
    )
    assert resume(out, [Layer("test", writers=["none"]), more])[1].step == 2


def test_the_command_line_chooses_writers(diary, tmp_path, capsys):
    from lmkit.cli.main import main

    def plan(*arguments):
        small = (
            "--recipe=reconstruction-quick",
            "--set=data.count=40",
            "--device=cpu",
            "--dry-run",
        )
        with pytest.raises(SystemExit) as ended:
            main(["train", *small, *arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    file = tmp_path / "d.jsonl"
    _, out, _ = plan("--json", f"--writer=diary:{file}", "--set=writer.diary.at=7")
    assert json.loads(out)["settings"]["writer"] == {
        "diary": {"name": "diary", "file": str(file), "fails_in": "", "at": 7}
    }
    assert not file.exists()
    assert json.loads(plan("--json", "--writer=none")[1])["settings"]["writer"] == {}
    for words, says in (
        (["--writer=diray"], "There is no writer 'diray'.\n  Did you mean 'diary'?"),
        (["--writer=diary"], "writer.diary.file is needed"),
        (["--writer=diary:x", "--set=writer.diary.att=7"], "has no option 'att'"),
        (["--writer=diary:x", "--writer=none"], "The writer 'none' stands for no writer"),
    ):
        code, out, err = plan(*words)
        assert (code, out) == (2, "")
        assert says in err
