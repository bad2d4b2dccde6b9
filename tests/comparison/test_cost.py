"""What a run costs: numbers counted by hand."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lmkit.comparison.cost import Size, measure_cost, training_speed
from lmkit.run.folder import RunFolder
from lmkit.run.run import open_run
from lmkit.runtime.device import describe_device


def test_frozen_weights_count_in_all_and_statistics_nowhere():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2, bias=False))
    whole = 3 * 8 * 9 + 8 + 2 * 8 + 16
    assert Size.of(network) == Size(whole, whole)
    network[0].requires_grad_(False)
    network[2].register_buffer("filters", torch.zeros(5))
    assert Size.of(network) == Size(2 * 8 + 16, whole + 5)


@pytest.fixture
def speed(tmp_path):
    def measure(*lines):
        folder = RunFolder(tmp_path)
        folder.metrics.write_text("\n".join(lines))
        return training_speed(SimpleNamespace(folder=folder))

    return measure


def test_speed_is_the_median_of_the_last_device_without_the_start(speed):
    def line(device, value):
        return json.dumps({"step": 1, "device": device, "images_per_second": value})

    assert speed(line("A", 5.0)) == (5, "A")
    lines = [line("A", value) for value in (1, 10, 12, 20)]
    assert speed(*lines) == (12, "A")
    assert speed(*lines, line("B", 100), line("B", 300)) == (300, "B")
    assert speed(*lines, '{"device": "B", "imag') == (12, "A")
    assert speed(json.dumps({"step": 1, "images_per_second": 3})) == (3, None)
    assert speed("") == (None, None)


def test_a_run_without_metrics_has_no_speed(tmp_path):
    assert training_speed(SimpleNamespace(folder=RunFolder(tmp_path))) == (None, None)


def test_a_run_is_measured_whole(trained):
    run = open_run(trained, device="cpu")
    cost = measure_cost(run)
    assert cost.detector.trainable == sum(each.numel() for each in run.detector.parameters())
    assert cost.generator.total > 0
    assert cost.gflop > 0
    assert cost.images_per_second > 0
    assert cost.device == describe_device(torch.device("cpu"))
    assert "thread" in cost.device
    assert set(cost.to_dict()) == {
        *("detector", "generator", "gflop", "images_per_second", "device"),
    }
