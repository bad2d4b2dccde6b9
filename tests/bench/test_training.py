import json

import pytest
import torch

from lmkit.bench.training import PARTS, measure_training
from lmkit.bench.ways import FastWay, PlainWay
from lmkit.errors import LmkitError
from lmkit.runtime.device import choose_device

FEW = ("run.image_size=32", "run.batch_size=3", "data.count=24")
PERCEPTUAL = (
    "loss.perceptual.weights=random",
    "loss.perceptual.layers=relu1_2,relu2_1",
    "loss.perceptual.weight=0.1",
)
COMBINATIONS = {
    "the paper's": (*FEW, *PERCEPTUAL),
    "intra": (*FEW, "pairing.name=intra"),
    "balanced": (*FEW, *PERCEPTUAL, "loss.perceptual.balance=running-mean"),
    "by matrices": (*FEW, "detector.init=scratch", "deformation.name=tps"),
    "transport": (*FEW, "generator.name=transporter", "loading.partner=subject"),
}


@pytest.fixture(scope="module")
def bench(tiny, registry):
    return measure_training(tiny(*FEW, *PERCEPTUAL), registry, rounds=2, warm_up=1)


@pytest.mark.parametrize("assignments", COMBINATIONS.values(), ids=COMBINATIONS)
def test_both_ways_have_the_same_loss_and_gradients(tiny, registry, assignments):
    bench = measure_training(tiny(*assignments), registry, rounds=1, warm_up=0)
    assert bench.agreement.loss < 1e-5
    assert bench.agreement.gradient < 1e-3


def test_both_ways_have_the_same_weights_after_some_steps_without_batch_statistics(tiny, registry):
    """Where no normalisation makes images depend on one another, the updates are the same too."""
    from itertools import cycle

    from lmkit.bench.training import _read_batches
    from lmkit.preparation.prepared import prepare

    settings = tiny(*FEW, *PERCEPTUAL)
    device = choose_device("cpu")
    batches, _ = _read_batches(prepare(settings, registry), device)
    weights = []
    for kind in (PlainWay, FastWay):
        way = kind(settings, registry, device)
        for _, network in way.assembly.networks():
            network.eval()
        for number, batch in zip(range(3), cycle(batches), strict=False):
            loss = way.forward(batch, number)
            way.updater.backward(loss)
            way.updater.apply(loss, number)
        weights.append(
            torch.cat([p.detach().flatten() for p in way.assembly.detector.parameters()])
        )
    start = torch.cat(
        [
            p.detach().flatten()
            for p in FastWay(settings, registry, device).assembly.detector.parameters()
        ]
    )
    moved = (weights[1] - start).norm()
    assert moved > 0
    assert (weights[0] - weights[1]).norm() < 0.02 * moved


def test_the_plain_way_does_more_for_the_same(bench):
    # A third detector call, a network that is not cut, and gradients that nobody needs.
    assert bench.plain.gflop_per_image > 1.1 * bench.fast.gflop_per_image


def test_every_part_is_timed(bench):
    for way in (bench.plain, bench.fast):
        assert way.parts.keys() == {*PARTS, "rest"}
        assert all(way.parts[part] > 0 for part in PARTS)
        assert way.seconds.low <= way.seconds.median <= way.seconds.high
        assert way.seconds.count == 2
        assert way.images_per_second == pytest.approx(3 / way.seconds.median)


def test_the_ratio_is_between_those_of_the_rounds(bench):
    # Two rounds: their median lies between both.
    slow, fast = bench.plain.seconds, bench.fast.seconds
    assert slow.low / fast.high / 2 < bench.ratio < 2 * slow.high / fast.low


def test_the_report_is_json(bench):
    found = json.loads(json.dumps(bench.to_dict()))
    assert found["ratio"] == bench.ratio
    assert found["fast"]["seconds"]["median"] == bench.fast.seconds.median
    assert found["settings"]["run.batch_size"] == 3


def test_rates_follow_from_times_and_operations(bench):
    for way in (bench.plain, bench.fast):
        speed = way.gflop_per_image * 1e9 * way.images_per_second
        assert way.tflops * 1e12 == pytest.approx(speed)
        assert way.share_of_matrix_rate == pytest.approx(way.tflops / bench.matrix_tflops)


def test_a_loss_that_needs_annotation_is_refused(tiny, registry):
    with pytest.raises(LmkitError, match="annotated points"):
        measure_training(tiny("run.landmarks=5", recipe="pretrain-quick"), registry)
