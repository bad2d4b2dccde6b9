import json

import pytest

from lmkit.bench.training import PARTS, measure_training
from lmkit.errors import LmkitError

FEW = ("run.image_size=32", "run.batch_size=3", "data.count=24")


@pytest.fixture(scope="module")
def bench(tiny, registry):
    return measure_training(tiny(*FEW), registry, rounds=2, warm_up=1)


def test_every_part_is_timed(bench):
    step = bench.step
    assert step.parts.keys() == {*PARTS, "rest"}
    assert all(step.parts[part] > 0 for part in PARTS)
    assert step.seconds.low <= step.seconds.median <= step.seconds.high
    assert step.seconds.count == 2
    assert bench.loading_seconds > 0


def test_the_report_is_json(bench):
    found = json.loads(json.dumps(bench.to_dict()))
    assert found["step"]["seconds"]["median"] == bench.step.seconds.median
    assert found["settings"]["run.batch_size"] == 3
    assert found["precision"] == "float32"


def test_rates_follow_from_times_and_operations(bench):
    step = bench.step
    assert step.images_per_second == pytest.approx(3 / step.seconds.median)
    assert step.tflops == pytest.approx(step.gflop_per_image * step.images_per_second / 1e3)
    assert step.share_of_matrix_rate == pytest.approx(step.tflops / bench.matrix_tflops)


def test_operations_grow_with_the_network_and_not_with_the_batch(tiny, registry, bench):
    more = measure_training(
        tiny(*FEW, "run.batch_size=6"), registry, rounds=1, warm_up=0
    ).step.gflop_per_image
    wider = measure_training(
        tiny(*FEW, "generator.width=8"), registry, rounds=1, warm_up=0
    ).step.gflop_per_image
    assert more == bench.step.gflop_per_image < wider


def test_a_loss_that_needs_annotation_is_refused(tiny, registry):
    with pytest.raises(LmkitError, match="annotated points"):
        measure_training(tiny("run.landmarks=5", recipe="pretrain-quick"), registry)


def test_networks_that_cannot_be_compiled_are_refused(tiny, registry, monkeypatch):
    monkeypatch.setattr(
        "lmkit.bench.stepper.compile_networks", lambda *_: ["There is no compiler."]
    )
    with pytest.raises(LmkitError, match="There is no compiler") as caught:
        measure_training(tiny(*FEW, "run.compile=default"), registry)
    assert "run.compile=none" in caught.value.remedy
