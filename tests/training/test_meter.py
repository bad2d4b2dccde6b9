"""How long the device waits for data."""

import json
import time

import pytest
import torch

from lmkit.data.sets.faces import Faces
from lmkit.training import meter as module
from lmkit.training.meter import Waiting
from lmkit.training.session import start


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    hands = Clock()
    monkeypatch.setattr(module, "time", hands)
    return hands


def fetch(clock, *seconds):
    """Yield batches, each of which takes some seconds to come."""
    for number, each in enumerate(seconds):
        clock.now += each
        yield number


def test_on_the_cpu_it_is_the_time_of_the_fetches(clock):
    waiting = Waiting(torch.device("cpu"))
    batches = waiting.over(fetch(clock, 1, 2, 4))
    assert next(batches) == 0
    clock.now += 100  # A step.
    assert next(batches) == 1
    assert waiting.seconds() == 3
    assert waiting.seconds() == 0
    clock.now += 100
    assert list(batches) == [2]
    assert waiting.seconds() == 4


def test_what_was_waited_before_can_be_left_out(clock):
    waiting = Waiting(torch.device("cpu"))
    batches = waiting.over(fetch(clock, 1, 2))
    next(batches)
    waiting.restart()
    next(batches)
    assert waiting.seconds() == 2


class Event:
    """The time when a device that works off a queue comes to it."""

    def __init__(self, when):
        self.when = when

    def elapsed_time(self, later):
        return (later.when - self.when) * 1000


def test_on_a_gpu_it_counts_only_while_nothing_is_queued(clock, monkeypatch):
    waiting = Waiting(torch.device("cuda"))
    done = {"when": 0.0}

    def mark(self):
        # The device comes to what is queued now, or once it is done with what was before.
        done["when"] = max(done["when"], clock.now)
        return Event(done["when"])

    monkeypatch.setattr(Waiting, "_mark", mark)
    batches = waiting.over(fetch(clock, 3, 3, 3, 3))
    next(batches)
    assert waiting.seconds() == 3, "there was nothing to do yet"
    done["when"] = clock.now + 10
    next(batches)
    assert waiting.seconds() == 0, "it was busy all along"
    done["when"] = clock.now + 1
    next(batches)
    assert waiting.seconds() == 2, "it had a second's work left"
    clock.now += 5  # The host does something else, after the device is done.
    next(batches)
    assert waiting.seconds() == 3, "that is no wait for data"


def test_workers_end_with_the_loop():
    closed = []

    def batches():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    for batch in Waiting(torch.device("cpu")).over(batches()):
        assert batch == 1
        break
    assert closed == [True]


def test_a_run_tells_its_share(tiny, tmp_path, monkeypatch, capsys):
    honest = Faces.image

    def slow(self, index):
        time.sleep(0.05)
        return honest(self, index)

    start(tiny("run.log_every=2"), tmp_path / "quick")
    monkeypatch.setattr(Faces, "image", slow)
    start(tiny("run.log_every=2"), tmp_path / "slow")
    shares = {}
    for name in ("quick", "slow"):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        shares[name] = [json.loads(line)["data_wait"] for line in lines]
    assert all(0 <= share <= 1 for share in (*shares["quick"], *shares["slow"]))
    assert shares["slow"][1] > shares["quick"][1]


@pytest.mark.gpu
def test_a_busy_gpu_does_not_wait():
    device = torch.device("cuda")
    waiting = Waiting(device)
    work = torch.rand(4096, 4096, device=device)

    def batches():
        for _ in range(4):
            time.sleep(0.02)
            yield 1

    for _ in waiting.over(batches()):
        for _ in range(60):
            work = (work @ work).clamp(0, 1)
    torch.cuda.synchronize()
    assert waiting.seconds() < 0.08
    for _ in waiting.over(batches()):
        torch.cuda.synchronize()
    assert waiting.seconds() > 0.07


def test_what_is_logged_is_averaged_over_the_steps_in_which_it_was_also_when_resumed():
    one = torch.ones(())

    def take(meter, step):
        logged = {"always": one * step} | ({"rarely": one * step} if step % 2 else {})
        meter.add(one, {}, {}, 0 * one, {}, logged)

    whole, first = module.Meter(torch.device("cpu")), module.Meter(torch.device("cpu"))
    for step in range(4):
        take(whole, step)
    for step in range(2):
        take(first, step)
    second = module.Meter(torch.device("cpu"))
    second.restore(first.state())
    for step in range(2, 4):
        take(second, step)
    found = whole.read(1)
    assert (found["log/always"], found["log/rarely"]) == (1.5, 2.0)
    again = second.read(1)
    assert {key: again[key] for key in found if key.startswith("log/")} == {
        "log/always": 1.5,
        "log/rarely": 2.0,
    }
    take(whole, 4)
    assert {key for key in whole.read(1) if key.startswith("log/")} == {"log/always"}
