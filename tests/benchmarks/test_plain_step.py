"""The step written plainly and lmkit's own compute the same."""

import json
import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest
import torch

from lmkit.bench.stepper import Stepper
from lmkit.bench.training import PARTS, read_batches
from lmkit.preparation.prepared import prepare
from lmkit.runtime.device import choose_device

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
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
def plain():
    """Import the tools, which are no part of the package, from where they lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import plain_step
        import plain_stepper

        yield plain_step, plain_stepper.PlainStepper
    for name in ("plain_step", "plain_stepper", "plain_losses"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def found(plain, tiny, registry):
    return plain[0].compare_steps(tiny(*FEW, *PERCEPTUAL), registry, rounds=2, warm_up=1)


@pytest.mark.parametrize("assignments", COMBINATIONS.values(), ids=COMBINATIONS)
def test_both_ways_have_the_same_loss_and_gradients(plain, tiny, registry, assignments):
    found = plain[0].compare_steps(tiny(*assignments), registry, rounds=1, warm_up=0)
    assert found["matrix_precision"] == "float32"
    assert plain[0].within(found) == {"loss": True, "gradient": True}


def test_both_ways_have_the_same_weights_after_some_steps_without_batch_statistics(
    plain, tiny, registry
):
    """Where no normalisation makes images depend on one another, the updates are the same too."""
    settings = tiny(*FEW, *PERCEPTUAL)
    device = choose_device("cpu")
    batches, _ = read_batches(prepare(settings, registry), device)

    def weights(stepper):
        parameters = stepper.assembly.detector.parameters()
        return torch.cat([each.detach().flatten() for each in parameters])

    start, after = weights(Stepper(settings, registry, device)), []
    for kind in (plain[1], Stepper):
        stepper = kind(settings, registry, device)
        for _, network in stepper.assembly.networks():
            network.eval()
        for number, batch in zip(range(3), cycle(batches), strict=False):
            loss = stepper.forward(batch, number)
            stepper.updater.backward(loss)
            stepper.updater.apply(loss, number)
        after.append(weights(stepper))
    moved = (after[1] - start).norm()
    assert moved > 0
    assert (after[0] - after[1]).norm() < 0.02 * moved


def test_the_plain_way_does_more_for_the_same(found):
    # A third detector call, a network that is not cut, and gradients that nobody needs.
    assert found["plain"]["gflop_per_image"] > 1.1 * found["fast"]["gflop_per_image"]


def test_the_ratio_is_between_those_of_the_rounds(found):
    # Two rounds: their median lies between both.
    slow, fast = found["plain"]["seconds"], found["fast"]["seconds"]
    assert slow["low"] / fast["high"] / 2 < found["ratio"] < 2 * slow["high"] / fast["low"]
    assert found["plain"]["parts"].keys() == found["fast"]["parts"].keys() == {*PARTS, "rest"}


def test_both_ways_detect_the_same_points(plain, tiny, registry):
    found = plain[0].compare_detection(tiny("run.batch_size=5"), registry, rounds=3, warm_up=0)
    assert found["distance"] < 1e-3
    assert found["plain"]["seconds"]["count"] == found["fast"]["seconds"]["count"] == 3
    assert json.loads(json.dumps(found))["ratio"] == found["ratio"]


def test_what_is_beyond_the_tolerance_of_its_precision_is_told(plain, found):
    for kind, gradient, good in (("float32", 0.01, False), ("tf32", 0.01, True)):
        other = {"agreement": {"loss": 0.0, "gradient": gradient}, "matrix_precision": kind}
        assert plain[0].within(found | other) == {"loss": True, "gradient": good}
        assert ("BEYOND" in plain[0].describe(found | other)) == (not good)


SMALL = (
    *("--batch-size=2", "--device=cpu", "--rounds=1", "--warm-up=0", "--set=run.image_size=32"),
    *("--set=data.count=16", "--set=detector.features=8", "--set=generator.width=4"),
)


def call(*words):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "plain_step.py"), *SMALL, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )


@pytest.mark.parametrize("more", [(), ("--predict",)])
def test_the_command_prints_both_ways_and_their_ratio(more):
    done = call(*more)
    assert done.returncode == 0, done.stderr
    *_, agreement, last = done.stdout.splitlines()
    assert "differ by" in agreement
    assert last.startswith("fast is ")
    assert last.endswith(" times plain")


def test_the_command_prints_json():
    found = json.loads(call("--json").stdout)
    assert found["ratio"] > 0
    assert found["settings"]["generator.width"] == 4


def test_wrong_settings_are_explained():
    done = call("--set", "detector.dept=3")
    assert done.returncode == 2
    assert "Did you mean" in done.stderr
    assert "Traceback" not in done.stderr
