"""``lmkit bench`` as a user types it."""

import json
import subprocess
import sys

import pytest

SMALL = {
    "--recipe": "reconstruction-quick",
    "--batch-size": "2",
    "--image-size": "32",
    "--device": "cpu",
    "--rounds": "1",
    "--warm-up": "0",
}
SETTINGS = ("data.count=16", "detector.features=8", "generator.width=4")


def bench(*words):
    options = [word for pair in SMALL.items() for word in pair]
    options += [word for each in SETTINGS for word in ("--set", each)]
    command = [sys.executable, "-m", "lmkit", "bench", *options, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_step_as_json():
    done = bench("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["step"]["images_per_second"] > 0
    assert found["settings"]["generator.width"] == 4


@pytest.mark.parametrize(
    ("more", "shown"), [((), "optimiser, ms"), (("--predict",), "seconds a batch")]
)
def test_the_table_says_what_it_costs(more, shown):
    done = bench(*more)
    assert done.returncode == 0, done.stderr
    for words in (shown, "images/s", "GFLOP an image", "share of a matrix product's"):
        assert words in done.stdout
    assert not done.stderr


def test_weights_that_cannot_be_downloaded_are_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = bench("--loss", "perceptual")
    assert done.returncode == 3
    assert "loss.perceptual.weights" in done.stderr
    assert "Traceback" not in done.stderr
