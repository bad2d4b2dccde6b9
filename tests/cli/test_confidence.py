"""Confidence and covariance: what they are, written, drawn and asked for."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lmkit.drawing.points import draw_points
from lmkit.errors import ExitCode, LmkitError
from lmkit.geometry.coordinates import pixel_grid
from lmkit.geometry.soft_argmax import concentration, mean_position, second_moments, spatial_softmax
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.prediction.predict import predict_images
from lmkit.prediction.sources import as_source
from lmkit.run.run import open_run


class Bare(Detector):
    """Points alone."""

    def __init__(self) -> None:
        super().__init__(landmarks=3)

    def forward(self, images):
        return Landmarks(torch.zeros(len(images), 3, 2))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(tmp_path, trained):
    dataset = open_run(trained, device="cpu")._dataset("faces")
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(dataset.image(index)).resize((64, 64)).save(folder / f"{index}.png")
    return folder


def test_covariance_is_the_second_moment_of_the_map():
    maps = spatial_softmax(torch.randn(2, 3, 6, 9, generator=torch.Generator().manual_seed(0)), 2)
    points = mean_position(maps)
    grid = pixel_grid(6, 9)
    off = grid - points[:, :, None, None]
    wanted = (maps[..., None, None] * off[..., :, None] * off[..., None, :]).sum(dim=(2, 3))
    assert torch.allclose(second_moments(maps, points), wanted, atol=1e-6)


def test_confidence_is_how_much_is_near_at_any_resolution():
    for size in (16, 64):
        grid = pixel_grid(size, size)

        def around(x, y, sigma, grid=grid):
            scores = -((grid - torch.tensor([x, y])) ** 2).sum(dim=-1) / (2 * sigma**2)
            return spatial_softmax(scores[None, None], 1.0)

        narrow, wide = around(0.1, 0.2, 0.02), around(0.0, 0.0, 1.0)
        split = (around(-0.5, 0.0, 0.02) + around(0.5, 0.0, 0.02)) / 2
        sure, unsure, torn = (
            concentration(maps, mean_position(maps)).item() for maps in (narrow, wide, split)
        )
        assert sure > 0.95
        assert unsure == pytest.approx(0.0164, abs=0.005)
        assert torn < 0.01


def test_tables_have_both_where_they_are_asked_for(lmkit, trained, photos, tmp_path):
    options = ("predict", trained, photos, "--out", "found", "--device=cpu", "--workers=0")
    assert lmkit(*options)[0] == 0
    plain = rows(tmp_path / "found" / "landmarks.csv")
    drawn = (tmp_path / "found" / "overlays" / "0.png.png").read_bytes()
    assert list(plain[0])[3:] == ["x0", "y0", "x1", "y1", "x2", "y2"]
    assert lmkit(*options, "--confidence")[0] == 0
    found = rows(tmp_path / "found" / "landmarks.csv")
    assert (tmp_path / "found" / "overlays" / "0.png.png").read_bytes() != drawn
    run = open_run(trained, device="cpu")
    each = list(
        run.predict_each(sorted(photos.iterdir()), only=("confidence", "covariance"), workers=0)
    )
    for row, former, one in zip(found, plain, each, strict=True):
        assert {name: row[name] for name in former} == former
        assert one.landmarks.confidence.shape == (1, 3)
        for k in range(3):
            assert float(row[f"confidence{k}"]) == pytest.approx(
                one.landmarks.confidence[0, k].item(), abs=1e-3
            )
            spread = one.landmarks.covariance[0, k]
            assert float(row[f"cov_xy{k}"]) == pytest.approx(spread[0, 1].item(), abs=0.02)
            # Images twice as large as the square of 32 pixels.
            assert spread[0, 0] == pytest.approx(one.found.covariance[0, k, 0, 0] * 32**2)
    assert lmkit(*options, "--confidence", "--format=json", "--no-overlays")[0] == 0
    entry = json.loads((tmp_path / "found" / "landmarks.json").read_text())[0]
    assert np.shape(entry["confidence"]) == (3,)
    assert np.shape(entry["covariance"]) == (3, 2, 2)


def test_landmarks_below_are_left_out(lmkit, trained, photos, tmp_path):
    options = ("predict", trained, photos, "--out", "found", "--device=cpu", "--workers=0")
    assert lmkit(*options, "--confidence")[0] == 0
    every = rows(tmp_path / "found" / "landmarks.csv")
    values = sorted(float(row[f"confidence{k}"]) for row in every for k in range(3))
    least = (values[5] + values[6]) / 2
    assert lmkit(*options, "--min-confidence", least)[0] == 0
    some = rows(tmp_path / "found" / "landmarks.csv")
    blank = 0
    for row, former in zip(some, every, strict=True):
        for k in range(3):
            low = float(former[f"confidence{k}"]) < least
            blank += low
            wanted = ("", "") if low else (former[f"x{k}"], former[f"y{k}"])
            assert (row[f"x{k}"], row[f"y{k}"]) == wanted
            assert row[f"confidence{k}"] == former[f"confidence{k}"]
    assert 0 < blank < 12
    assert lmkit(*options, "--min-confidence=1", "--format=json")[0] == 0
    entry = json.loads((tmp_path / "found" / "landmarks.json").read_text())[0]
    assert entry["points"] == [None] * 3
    # Nothing is drawn on it.
    drawn = np.asarray(Image.open(tmp_path / "found" / "overlays" / "0.png.png"))
    assert np.array_equal(drawn, np.asarray(Image.open(photos / "0.png")))
    assert lmkit(*options, "--min-confidence=2")[0] == ExitCode.USAGE


def test_a_detector_without_maps_has_no_columns(trained, photos, tmp_path):
    bare = replace(open_run(trained, device="cpu").predictor, detector=Bare(), name="detector bare")
    source = as_source(sorted(photos.iterdir()))
    predict_images(bare, source, tmp_path / "out", confidence=True, overlays=False, workers=0)
    header = (tmp_path / "out" / "landmarks.csv").read_text().splitlines()[0]
    assert header == "file,width,height,x0,y0,x1,y1,x2,y2"
    with pytest.raises(LmkitError, match="The detector bare tells no confidence") as caught:
        predict_images(bare, source, tmp_path / "none", min_confidence=0.1)
    assert "--min-confidence" in caught.value.remedy
    assert not (tmp_path / "none").exists()


def test_an_ellipse_is_two_deviations_wide():
    image = np.zeros((80, 80, 3), np.uint8)
    covariance = np.array([[[100.0, 0], [0, 25]]])
    drawn = draw_points(image, np.array([[40.0, 40]]), radius=2, covariance=covariance)
    bright = drawn.max(axis=2) > 100
    assert bright[40, 20]
    assert bright[40, 60]
    assert bright[30, 40]
    assert bright[50, 40]
    assert not bright[40, 15]
    assert not bright[40, 28]
    assert not bright[25, 40]
    turned = np.array([[[50.0, 40], [40, 50]]])
    drawn = draw_points(image, np.array([[40.0, 40]]), radius=2, covariance=turned)
    bright = drawn.max(axis=2) > 100
    assert bright[53:55, 53:55].any()
    assert not bright[20:32, 50:60].any()
    missing = np.full((1, 2, 2), np.nan)
    assert draw_points(image, np.full((1, 2), np.nan), covariance=missing).max() == 0
