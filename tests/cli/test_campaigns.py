"""Commands of plugins that train several runs: ``run_campaign`` of ``lmkit.api``."""

import json
import sys

import pytest

from lmkit import api

PLUGIN = """
from lmkit.api import Command, hookimpl

@hookimpl
def lmkit_commands():
    return [Command("widths", "widths:command", "two widths of a generator")]
"""
MODULE = """
import sys
from pathlib import Path

import click

from lmkit.api import CampaignReport, Layer, data_section, read_assignments, recipe_layers
from lmkit.api import run_campaign

RUN = {"steps": 1, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"}
SMALL = {
    "run": RUN,
    "data": {"count": 24},
    "detector": {"features": 8, "depth": 1},
    "generator": {"blocks": 1},
}


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option("--set", "assignments", multiple=True)
def command(as_json, assignments):
    base = [*recipe_layers("reconstruction-quick"), Layer("small", {"data": data_section("faces")})]
    base += [Layer("small", SMALL), read_assignments(assignments)]
    runs = {
        f"width-{width}": [*base, Layer("widths", {"generator": {"width": width}})]
        for width in (2, 4)
    }

    def report(read):
        found = {name: read(name) for name in runs}
        errors = {
            name: result and result.reports["faces"]["forward"]["nme"]
            for name, result in found.items()
        }
        widths = [result and result.settings["generator"]["width"] for result in found.values()]
        content = {"errors": errors, "widths": widths}
        return CampaignReport("widths", content, f"{len(errors)} widths\\n")

    sys.exit(run_campaign(Path("out"), runs, {"faces": None}, report, as_json=as_json))
"""


@pytest.fixture
def widths(install, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "widths", raising=False)
    (tmp_path / "site" / "widths.py").write_text(MODULE)
    install("wide-package", PLUGIN)


def test_runs_are_trained_measured_and_reported_after_each(widths, lmkit, tmp_path):
    code, stdout, stderr = lmkit("widths")
    assert (code, stdout) == (0, "2 widths\n")
    assert [line for line in stderr.splitlines() if line.startswith("Run ")] == [
        "Run 1 of 2: out/width-2",
        "Run 2 of 2: out/width-4",
    ]
    assert stderr.endswith("Written: out/widths.md, out/widths.json\n")
    assert (tmp_path / "out" / "widths.md").read_text() == "2 widths\n"
    content = json.loads((tmp_path / "out" / "widths.json").read_text())
    assert content["widths"] == [2, 4]
    assert all(error > 0 for error in content["errors"].values())
    # The same again trains nothing.
    code, stdout, stderr = lmkit("widths", "--json")
    assert (code, json.loads(stdout)) == (0, content)
    assert "loss" not in stderr


def test_other_settings_in_the_same_folder_are_refused_before_anything_is_trained(widths, lmkit):
    assert lmkit("widths")[0] == 0
    code, stdout, stderr = lmkit("widths", "--set", "run.seed=3")
    assert (code, stdout) == (5, "")
    assert "run.seed was 0 and is to be 3" in stderr


def test_settings_are_checked_before_anything_is_written(widths, lmkit, tmp_path):
    code, _, stderr = lmkit("widths", "--set", "detector.dept=3")
    assert code == 2
    assert "'dept'" in stderr
    assert not (tmp_path / "out").exists()


def test_several_processes_are_refused(widths, lmkit, monkeypatch, tmp_path):
    of_torchrun = {
        **{"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"},
    }
    for name, value in of_torchrun.items():
        monkeypatch.setenv(name, value)
    code, _, stderr = lmkit("widths")
    assert code == 2
    assert "lmkit widths is done by one process, and torchrun has started 2." in stderr
    assert not (tmp_path / "out").exists()


def test_complete_settings_are_those_of_a_run():
    layers = [*api.recipe_layers("reconstruction-quick"), api.read_assignments(["run.steps=7"])]
    settings = api.complete_settings(layers)
    assert settings["run"]["steps"] == 7
    assert settings["loss"].keys() == {"mse"}
    assert settings["run"]["precision"] == "auto"
    assert api.complete_settings([api.Layer("run.json", settings)]) == settings


def test_what_a_setting_is_for_is_told():
    assert api.is_of_the_method("optimizer.betas")
    assert not api.is_of_the_method("loading.workers")
    assert not api.is_of_the_method("run.device")
