import json

import pytest

from lmkit.bench.inference import measure_inference


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
