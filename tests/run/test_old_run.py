"""A run made at commit fdf16b2 (see README.txt) opens, predicts, is evaluated, and goes on."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lmkit
from lmkit.cli.main import main

HERE = Path(__file__).parent
MADE = HERE / "made_at_fdf16b2"
IMAGES = HERE / "images_for_old_run"
FOUND = HERE / "found_at_fdf16b2"
NETWORKS = ("detector", "generator")


@pytest.fixture
def old(tmp_path):
    """A copy of the old run, which may be written to."""
    return shutil.copytree(MADE, tmp_path / "old")


@pytest.fixture
def command(capsys):
    """Call the command line in this process, which has to succeed; return its stdout."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    return call


def table(file):
    """Return a table of landmarks: for each file its size, then its points."""
    with file.open(newline="") as text:
        header, *rows = csv.reader(text)
    return header, {name: np.array(values, float) for name, *values in rows}


def tensors(run, step):
    folder = run / "checkpoints" / f"step-{step}"
    return {name: load_file(folder / f"{name}.safetensors") for name in NETWORKS}


def joined(values):
    return torch.cat([values[key].flatten().float() for key in sorted(values)])


def test_it_opens_as_it_was():
    run = lmkit.open_run(MADE, device="cpu")
    stored = json.loads((MADE / "run.json").read_text())["settings"]
    flat = run.settings.flat()
    assert run.step == 2
    assert flat["data.name"] == "faces"
    assert flat["detector.beta"] == stored["detector"]["beta"] == 30
    assert flat["optimizer.weight_decay"] == stored["optimizer"]["weight_decay"] == 0.01
    weights = run.detector.state_dict()
    for name, value in tensors(MADE, 2)["detector"].items():
        assert torch.equal(weights[name], value), name


def test_it_finds_the_landmarks_it_found():
    run = lmkit.open_run(MADE, device="cpu")
    _, rows = table(FOUND / "landmarks.csv")
    points = run.predict([IMAGES / name for name in rows])
    expected = np.stack([values[2:].reshape(-1, 2) for values in rows.values()])
    assert np.abs(points - expected).max() < 0.01


def test_the_command_line_writes_the_table_it_wrote(command, tmp_path):
    command("predict", MADE, IMAGES, "--no-overlays", "--device=cpu", "--out", tmp_path / "out")
    header, rows = table(tmp_path / "out" / "landmarks.csv")
    expected_header, expected = table(FOUND / "landmarks.csv")
    assert header == expected_header
    assert list(rows) == list(expected)
    for name, values in expected.items():
        assert np.abs(rows[name] - values).max() < 0.01, name


def test_its_error_is_what_it_was(command):
    report = json.loads(command("evaluate", MADE, "--no-files", "--json", "--device=cpu"))
    expected = json.loads((FOUND / "evaluation.json").read_text())
    assert report["images"]["test"] == expected["images"]["test"] == 2
    assert report["step"] == expected["step"] == 2
    for figure in ("forward", "without_bias", "mean_shape"):
        assert report[figure]["nme"] == pytest.approx(expected[figure]["nme"], rel=1e-4), figure
    assert report["stability"]["mean"] == pytest.approx(expected["stability"]["mean"], rel=1e-3)


def test_it_goes_on_to_the_weights_it_went_on_to(command, old):
    command("train", "--resume", old, "--steps=4")
    before, after = tensors(MADE, 2), tensors(old, 4)
    expected = load_file(FOUND / "step-4.safetensors")
    for network in NETWORKS:
        assert list(after[network]) == list(before[network])
        found = joined(after[network])
        assert found.shape == expected[network].shape
        assert torch.allclose(found, expected[network], rtol=1e-6, atol=1e-6)
        assert (found - joined(before[network])).abs().max() > 1e-4
    status = json.loads((old / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 4)
    steps = [json.loads(line)["step"] for line in (old / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    # One checkpoint is kept, as the run's settings say.
    assert [path.name for path in (old / "checkpoints").iterdir()] == ["step-4"]
    assert lmkit.open_run(old, device="cpu").step == 4
