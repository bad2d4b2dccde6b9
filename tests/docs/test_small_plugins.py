"""The small plugins of the docs: short, right by the kit, trained, and the same when resumed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.registry import local, lookup
from lmkit.settings.layers import Layer, merge, read_assignments, read_config_file
from lmkit.settings.settings import resolve
from lmkit.testing import checks_for

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
FILES = sorted(FOLDER.glob("*.py"))
SMALL: dict[str, Any] = {
    "run": {
        **{"batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
        **{"sheet_every": 0, "log_every": 1, "checkpoint_every": 2},
    },
    "data": {"count": 24},
    "generator": {"width": 4},
    "optimizer": {"decay_every": 100},
}
PLAIN = {"name": "hourglass", "features": 8, "depth": 1}
CHOICES: dict[str, dict[str, Any]] = {
    "ema_teacher": {"loss": {"teacher": {"weight": 0.5}}},
    "ensemble": {
        "detector": {"name": "ensemble", "first": PLAIN, "second": {"name": "imm", "width": 4}}
    },
    "distil": {"loss": {"distil": {"teacher": "run:{trained}"}}},
    "gan": {"loss": {"critic": {"width": 4, "weight": {"to": 0.1, "steps": 3}}}},
}
"""What the settings of each plugin's run are, beside the small ones."""
KIT = {
    "detector ensemble": {"first": PLAIN, "second": PLAIN},
    "loss distil": {"teacher": "run:{trained}", "landmarks": 3},
}
"""What the kit needs to build some of them."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget each plugin afterwards."""
    monkeypatch.setenv(local.VARIABLE, "")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    lookup.installed.cache_clear()
    yield
    for file in FILES:
        sys.modules.pop(file.stem, None)
    lookup.installed.cache_clear()


def train(file: Path, out: Path, steps: int, trained: Path) -> Path:
    own = json.loads(json.dumps(CHOICES[file.stem]).replace("{trained}", str(trained)))
    settings = {**SMALL, **own, "run": SMALL["run"] | {"steps": steps}}
    lmkit.train(recipe="reconstruction-quick", out=out, settings=settings, plugins=[file])
    return out


def result(run: Path, step: int) -> dict[str, bytes]:
    folder = run / "checkpoints" / f"step-{step}"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def metrics(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: row[key] for key in row if key.startswith(("loss", "log/", "learning"))}
        for row in rows
    ]


def test_every_file_is_tried() -> None:
    assert {file.stem for file in FILES} == CHOICES.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_small_and_keeps_its_promises(file: Path, trained: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60
    kit = json.loads(json.dumps(KIT).replace("{trained}", str(trained)))
    given = {name: own for name, own in kit.items() if name.endswith(f" {file.stem}")}
    failed = {
        str(check): outcome.problem
        for check in checks_for(str(file), settings=given)
        if (outcome := check.outcome()).state == "failed"
    }
    assert failed == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_trains_and_goes_on_as_if_it_had_not_stopped(
    file: Path, tmp_path: Path, trained: Path
) -> None:
    whole = train(file, tmp_path / "whole", 4, trained)
    halves = train(file, tmp_path / "halves", 2, trained)
    lmkit.train(resume_from=halves, settings={"run": {"steps": 4}})
    assert result(halves, 4) == result(whole, 4)
    assert metrics(halves) == metrics(whole)


def test_what_losses_log_and_their_weights_are_metrics(tmp_path: Path, trained: Path) -> None:
    run = train(FOLDER / "gan.py", tmp_path / "run", 3, trained)
    rows = metrics(run)
    assert all(0 < row["log/critic/real"] < 1 for row in rows)
    # A weight that grows from 0: at first the loss is that of the images alone.
    for row, weight in zip(rows, (0, 0.1 / 3, 0.2 / 3), strict=True):
        wanted = row["loss/mse"] + 0.3 * row.get("loss/perceptual", 0)
        assert row["loss"] == pytest.approx(wanted + weight * row["loss/critic"], abs=1e-5)


def test_the_slow_start_is_settings_alone(registry: lookup.Registry) -> None:
    layers = read_config_file(FOLDER / "slow_start.toml", registry)
    small = Layer("small", {**SMALL, "run": SMALL["run"]})
    settings = resolve(merge([*layers, small, read_assignments(["run.steps=5"])]), registry)
    assert settings.loss["structure-concentration"]["weight"]["course"] == "cosine"
    assert settings.optimizer.detector.frozen_until == 100
    assert settings.optimizer.losses.weight_decay == 0
