import json

import numpy as np
import pytest
from PIL import Image

from lmkit.bench.inference import measure_inference
from lmkit.errors import ExitCode, LmkitError


def test_both_ways_find_the_same_points(tiny, registry):
    bench = measure_inference(tiny("run.batch_size=5"), registry, rounds=3, warm_up=0)
    assert bench.distance < 1e-3
    assert bench.plain.seconds.count == bench.fast.seconds.count == 3
    assert bench.fast.images_per_second == pytest.approx(5 / bench.fast.seconds.median)
    assert json.loads(json.dumps(bench.to_dict()))["ratio"] == bench.ratio


def test_operations_are_those_of_one_detector_call(tiny, registry):
    one, two = (
        measure_inference(tiny(f"run.batch_size={size}"), registry, rounds=1, warm_up=0)
        for size in (1, 2)
    )
    assert one.gflop_per_image == two.gflop_per_image > 0


def test_images_that_cannot_be_read_are_passed_over_or_named(tiny, registry, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    for number in range(4):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    whole = (tmp_path / "0.png").read_bytes()
    settings = tiny(
        "data.name=folder", f"data.path={tmp_path}", "run.batch_size=1", "loading.held_out=0"
    )
    for torn in range(4):
        assert measure_inference(settings, registry, rounds=1, warm_up=0).ratio > 0
        (tmp_path / f"{torn}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LmkitError, match=r"None of the 4 images .* 0\.png") as caught:
        measure_inference(settings, registry, rounds=1, warm_up=0)
    assert caught.value.code == ExitCode.DATA
