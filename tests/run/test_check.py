"""A run folder looked over: what is damaged, and what can still be used."""

import json
import os
import shutil

import pytest

from lmkit.cli.main import main
from lmkit.errors import ExitCode, LmkitError
from lmkit.run.check import check_run

STEP = "checkpoints/step-4/"


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture
def check(registry, copied):
    return lambda: check_run(copied, registry)


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def states(report):
    return {each.file: each.state for each in report.files}


def test_of_a_whole_run_everything_can_be_used(check, copied):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    report = check()
    assert report.sound
    assert (report.predict, report.resume, report.notes) == ("step-4", "step-4", [])
    assert set(states(report).values()) == {"sound"}
    names = ("detector", "generator", "optimizer", "metrics")
    files = {f"checkpoints/step-{step}/{name}.safetensors" for step in (2, 4) for name in names}
    files |= {"run.json", "split.json", "status.json", "metrics.jsonl"}
    files |= {"checkpoints/step-2/state.json", "checkpoints/step-4/state.json"}
    assert set(states(report)) == files
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


@pytest.mark.parametrize(
    ("file", "predict", "resume"),
    [
        ("run.json", None, None),
        ("split.json", "step-4", None),
        (STEP + "state.json", "step-2", "step-2"),
        (STEP + "detector.safetensors", "step-2", "step-2"),
        (STEP + "generator.safetensors", "step-4", "step-2"),
        (STEP + "optimizer.safetensors", "step-4", "step-2"),
        ("checkpoints/step-2/detector.safetensors", "step-4", "step-4"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_used(check, copied, file, predict, resume):
    damage(copied / file)
    report = check()
    assert not report.sound
    assert [name for name, state in states(report).items() if state == "damaged"] == [file]
    assert (report.predict, report.resume) == (predict, resume)
    moves = "To go on from step-2, move step-4 away first."
    assert (moves in report.notes) == (resume == "step-2")


@pytest.mark.parametrize("file", ["status.json", "metrics.jsonl", STEP + "metrics.safetensors"])
def test_what_decides_nothing_is_told_and_is_no_damage(check, copied, file):
    damage(copied / file)
    if file == "metrics.jsonl":
        (copied / file).write_text("{\n")
    report = check()
    assert report.sound
    assert states(report)[file] == "damaged"
    assert (report.predict, report.resume) == ("step-4", "step-4")


def test_of_a_copy_that_only_predicts_nothing_is_damaged(check, copied):
    (copied / "split.json").unlink()
    shutil.rmtree(copied / "checkpoints" / "step-2")
    for name in ("generator", "optimizer", "metrics"):
        (copied / STEP / f"{name}.safetensors").unlink()
    report = check()
    assert report.sound
    assert (report.predict, report.resume) == ("step-4", None)
    assert "It has no split.json: it is a copy that only predicts." in report.notes
    assert states(report)[STEP + "optimizer.safetensors"] == "absent"


def test_a_run_without_checkpoints_begins_again(check, copied):
    shutil.rmtree(copied / "checkpoints")
    report = check()
    assert report.sound
    assert (report.predict, report.resume) == (None, "the start")


def test_where_the_record_is_lost_the_weights_are_still_told(check, copied):
    (copied / "run.json").unlink()
    report = check()
    assert not report.sound
    assert (report.predict, report.resume) == (None, None)
    assert states(report)["run.json"] == "damaged"
    assert states(report)[STEP + "detector.safetensors"] == "sound"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("file", ["split.json", "metrics.jsonl", STEP + "state.json"])
def test_a_pipe_is_not_waited_for(check, copied, file):
    (copied / file).unlink()
    os.mkfifo(copied / file)
    assert states(check())[file] == "damaged"


def test_what_is_no_run_is_refused(registry, tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(LmkitError) as caught:
            check_run(path, registry)
        assert caught.value.code == ExitCode.RUN


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["check-run", *map(str, arguments)])
    return ended.value.code, *capsys.readouterr()


def test_the_command_says_it_in_lines_in_json_and_by_its_exit_code(capsys, copied):
    code, out, _ = command(capsys, copied)
    assert code == ExitCode.OK
    assert "sound    run.json\n" in out
    assert out.endswith("\npredict  step-4\nresume   step-4\n")
    damage(copied / STEP / "optimizer.safetensors")
    code, out, _ = command(capsys, copied)
    assert code == ExitCode.RUN
    assert "damaged  checkpoints/step-4/optimizer.safetensors: its SHA-256 differs\n" in out
    assert "\npredict  step-4\nresume   step-2\n" in out
    code, out, _ = command(capsys, copied, "--json")
    assert code == ExitCode.RUN
    report = json.loads(out)
    assert (report["sound"], report["predict"], report["resume"]) == (False, "step-4", "step-2")
    assert {"file": "run.json", "state": "sound", "problem": "", "decides": True} in report["files"]
    code, _, err = command(capsys, copied / "absent")
    assert code == ExitCode.RUN
    assert "is not a folder" in err
