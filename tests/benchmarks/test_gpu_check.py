"""The check of a GPU runs, here at small sizes on the CPU, and tells what is wrong."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NEED_CUDA = {"compiled", "nothing_waits", "memory_runs_out", "memory"}


@pytest.fixture(scope="module")
def tool():
    """Import the tool, which is no part of the package, from where it lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import gpu_check

        yield gpu_check
    for name in ("gpu_check", "gpu_steps"):
        del sys.modules[name]


def test_all_checks_run_on_the_cpu_and_nothing_is_wrong(tool, tmp_path, capsys):
    status = tool.main(["--cpu", "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert status == 0, found
    assert tuple(found) == tool.ORDER
    states = {name: each["state"] for name, each in found.items()}
    left_out = {name for name, state in states.items() if state == "left out"}
    assert left_out == NEED_CUDA
    assert {states[name] for name in tool.TOLD} == {"told"}
    assert found["step_as_on_the_cpu"]["found"] == {"loss": 0, "gradient": 0, "pixels": 0}
    assert found["a_run"]["found"] == {"points apart after 6 and 4 + 2 steps": 0}
    assert found["a_bad_step"]["found"]["tensors unchanged"] > 100
    assert any("images/s" in str(value) for value in found["rates"]["found"].values())
    assert len(capsys.readouterr().out.splitlines()) == len(found)


def test_what_is_wrong_is_told_and_the_other_checks_go_on(tool, monkeypatch, capsys):
    honest = tool.Steps.gradient

    def wrong(steps):
        wrong.factor *= 1.1
        return wrong.factor * honest(steps)

    wrong.factor = 1.0
    monkeypatch.setattr(tool.Steps, "gradient", wrong)
    monkeypatch.setattr(tool.Checks, "machine", lambda checks: 1 / 0)
    assert tool.main(["--cpu", "--only", "machine,step_as_on_the_cpu,gathering"]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("WRONG    machine")
    assert "ZeroDivisionError" in first
    assert second.startswith("WRONG    step_as_on_the_cpu")
    assert "gradient" in second
    assert third.startswith("told     gathering")


def test_it_does_not_take_the_cpu_for_a_gpu(tool, capsys):
    for words, said in (
        (["--device", "cpu"], "there is no GPU here"),
        (["--cpu", "--only", "rate"], "there is no check 'rate'"),
    ):
        with pytest.raises(SystemExit) as caught:
            tool.main(words)
        assert caught.value.code == 2
        assert said in capsys.readouterr().err
