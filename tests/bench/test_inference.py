import json

import numpy as np
import pytest
from PIL import Image

from lmkit.bench.inference import measure_inference
from lmkit.errors import ExitCode, LmkitError


def test_rates_follow_from_times_and_operations(tiny, registry):
    bench = measure_inference(tiny("run.batch_size=5"), registry, rounds=3, warm_up=0)
    found = bench.detection
    assert found.seconds.count == 3
    assert found.images_per_second == pytest.approx(5 / found.seconds.median)
    assert found.tflops == pytest.approx(found.gflop_per_image * found.images_per_second / 1e3)
    assert found.share_of_matrix_rate == pytest.approx(found.tflops / bench.matrix_tflops)
    content = json.loads(json.dumps(bench.to_dict()))
    assert content["detection"]["images_per_second"] == found.images_per_second


def test_operations_are_those_of_one_detector_call(tiny, registry):
    one, two = (
        measure_inference(
            tiny(f"run.batch_size={size}"), registry, rounds=1, warm_up=0
        ).detection.gflop_per_image
        for size in (1, 2)
    )
    assert one == two > 0


def test_images_that_cannot_be_read_are_passed_over_or_named(tiny, registry, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    for number in range(4):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    whole = (tmp_path / "0.png").read_bytes()
    settings = tiny(
        "data.name=folder", f"data.path={tmp_path}", "run.batch_size=1", "loading.held_out=0"
    )
    for torn in range(4):
        assert measure_inference(settings, registry, rounds=1, warm_up=0).detection.tflops > 0
        (tmp_path / f"{torn}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LmkitError, match=r"None of the 4 images .* 0\.png") as caught:
        measure_inference(settings, registry, rounds=1, warm_up=0)
    assert caught.value.code == ExitCode.DATA
