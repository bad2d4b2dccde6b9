"""``lmkit sweep`` as it is typed: everything is trained once, and compared at the end."""

import json

import pytest

from lmkit.errors import ExitCode

SMALL = (
    *(
        "--steps",
        2,
        "--device",
        "cpu",
        "--recipe",
        "reconstruction-quick",
        "--set",
        "data.count=24",
    ),
    *("--set", "run.batch_size=4", "--set", "run.image_size=32", "--set", "run.landmarks=3"),
    *("--set", "generator.width=4", "--set", "generator.blocks=1"),
)


def test_combinations_are_trained_once_and_compared(lmkit, tmp_path):
    words = ("sweep", "--vary", "detector.beta=3,10", *SMALL, "--set", "detector.features=8")
    code, stdout, stderr = lmkit(*words)
    assert code == 0
    assert "2 runs: beta=3, beta=10." in stderr
    assert "Run 2 of 2" in stderr
    assert "detector.beta   3.0" in stdout
    assert "Written to sweep: comparison.md, comparison.json, faces.png" in stdout
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoints/*/*")}
    assert first
    code, stdout, _ = lmkit(*words, "--json")
    assert code == 0
    report = json.loads(stdout)
    assert [run["name"] for run in report["runs"]] == ["beta=3", "beta=10"]
    assert report == json.loads((tmp_path / "sweep" / "comparison.json").read_text())
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoints/*/*")}
    assert again == first


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--detector", "hourglass"), ExitCode.USAGE, "A sweep of one run compares nothing."),
        (("--detector", "hourglass,nosuch"), ExitCode.USAGE, "The combination nosuch"),
        (("--vary", "beta=1,2"), ExitCode.USAGE, "is not section.key=value,value"),
    ],
)
def test_what_cannot_be_swept_is_refused_and_nothing_written(lmkit, tmp_path, words, code, says):
    found, stdout, stderr = lmkit("sweep", *words, *SMALL)
    assert found == code
    assert stdout == ""
    assert says in stderr
    assert list(tmp_path.iterdir()) == []


def test_methods_may_train_for_equally_long(lmkit, tmp_path):
    words = ("sweep", "--recipe", "structure-quick,factorized-quick", "--minutes", 0.01)
    small = ("--device", "cpu", *("--set", "data.count=24"), *("--set", "run.batch_size=4"))
    small += ("--set", "run.image_size=32", "--set", "run.landmarks=3")
    code, stdout, stderr = lmkit(*words, *small)
    assert code == 0, stderr
    assert "ms a step" in stderr
    plan = json.loads((tmp_path / "sweep" / "minutes.json").read_text())
    for name, steps in plan["steps"].items():
        run = json.loads((tmp_path / "sweep" / name / "run.json").read_text())
        assert run["settings"]["run"]["steps"] == steps
    assert "factorized-quick" in stdout
    code, _, stderr = lmkit(*words, *small)
    assert code == 0
    assert "ms a step" not in stderr
    code, _, stderr = lmkit(*words, *small, "--steps", 3)
    assert code == ExitCode.USAGE
    assert "--minutes decides the number of steps" in stderr
