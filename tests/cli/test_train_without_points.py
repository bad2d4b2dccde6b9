"""What ``lmkit train`` says at its end of images without annotation."""

import json

import numpy as np
import pytest
from PIL import Image

SMALL = ("--set", "detector.features=8", "--set", "detector.depth=1", "--set", "generator.width=4")


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_it_ends_in_health_and_a_verdict(lmkit, photos, tmp_path):
    size = ("--steps", 2, "--batch-size", 4, "--image-size", 32, "--landmarks", 3)
    code, stdout, stderr = lmkit(
        *("train", "--recipe", "quickstart", "--data", photos, "--device", "cpu", "--json"),
        *(*size, *SMALL, "--set", "loading.held_out=0.5", "--out", tmp_path / "run"),
    )
    assert code == 0, stderr
    report = json.loads(stdout)["evaluation"]
    assert report["label_free"]["images"] > 0
    assert report["label_free"]["untrained"] is not None
    assert "Health: At fault are " in stderr
    assert f"Verdict: {report['label_free']['verdict']['finding']}" in stderr
    assert "Training worked" not in stderr
