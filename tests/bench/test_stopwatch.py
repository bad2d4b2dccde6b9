import time

import pytest
import torch

from lmkit.bench.stopwatch import (
    Times,
    _like_convolutions,
    clock,
    in_turn,
    matrix_precision,
    matrix_rate,
    peak_memory,
)

CPU = torch.device("cpu")


def test_times_are_summarised_by_quartiles():
    times = Times.of([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (times.median, times.low, times.high, times.count) == (3.0, 1.5, 4.5, 5)


def test_one_time_has_no_spread():
    assert Times.of([2.0]) == Times(2.0, 2.0, 2.0, 1)


def test_work_is_timed():
    assert clock(CPU, lambda: time.sleep(0.02)) >= 0.02


def test_works_take_turns_after_a_warm_up():
    order: list[str] = []
    heard: list[tuple[int, int]] = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}
    times = in_turn(
        works, CPU, rounds=3, warm_up=1, progress=lambda done, total: heard.append((done, total))
    )
    assert order == ["a", "b"] * 4
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
    assert heard == [(done, 8) for done in range(1, 9)]


def test_the_rate_of_a_matrix_product_is_that_of_its_operations():
    assert 1e8 < matrix_rate(CPU, torch.float32, rounds=1) < 1e15


def test_float32_is_set_beside_products_that_round_as_convolutions_do(monkeypatch):
    cuda, products = torch.device("cuda", 0), torch.backends.cuda.matmul
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert torch.backends.cudnn.conv.fp32_precision == "tf32"
    assert matrix_precision(cuda, torch.float32) == "tf32"
    assert matrix_precision(cuda, torch.bfloat16) == "bfloat16"
    assert matrix_precision(CPU, torch.float32) == "float32"
    before = products.fp32_precision
    with _like_convolutions(cuda, torch.float32):
        assert products.fp32_precision == "tf32"
    assert products.fp32_precision == before
    with _like_convolutions(CPU, torch.float32):
        assert products.fp32_precision == before
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert matrix_precision(cuda, torch.float32) == "float32"


def test_peak_memory_is_that_of_the_time_watched():
    with peak_memory(CPU) as most:
        before = most()
        if before is None:
            pytest.skip("this system does not tell")
        block = torch.ones(64 * 2**20 // 4)
        after = most()
        assert after is not None
        assert after - before > 0.9 * block.nbytes


def test_memory_that_was_freed_before_does_not_count():
    torch.ones(128 * 2**20 // 4)
    with peak_memory(CPU) as first:
        pass
    with peak_memory(CPU) as most:
        found = most()
        if found is None:
            pytest.skip("this system does not tell")
        assert found <= (first() or 0) + 2**20
