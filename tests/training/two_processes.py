"""What one of two processes does, started by test_distributed.py: it ends with 0 if all holds."""

import signal
import sys
from pathlib import Path

import torch
from torch import nn

from lmkit.registry.lookup import installed
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.settings import resolve
from lmkit.training.norm import synchronise
from lmkit.training.processes import ALONE, together
from lmkit.training.session import resume, start


def check_messages(processes):
    rank = processes.rank
    assert (processes.world, processes.write) == (2, rank == 0)
    assert processes.gather(torch.tensor([rank, 5])).tolist() == [0, 5, 1, 5]
    assert processes.exchange({"rank": rank, "long": "x" * rank}) == [
        {"rank": 0, "long": ""},
        {"rank": 1, "long": "x"},
    ]
    mean = torch.tensor([float(rank)])
    processes.average([mean, torch.tensor([7])])
    assert mean.item() == 0.5
    own = torch.full((2,), rank, dtype=torch.int64)
    processes.copy_from_first([own])
    assert own.tolist() == [0, 0]
    news = processes.tell(signal.SIGTERM if rank else None, rank == 0, {rank: "torn"})
    assert news == (signal.SIGTERM, True, {0: "torn", 1: "torn"})
    assert processes.tell(None, False, {}) == (None, False, {})


def check_gradients(processes):
    """The gradient of the sum of everybody's loss reaches where the parts came from."""
    rank = processes.rank
    own = torch.tensor([[1.0 + rank], [2.0 + rank]], requires_grad=True)
    weights = torch.tensor([[1.0], [10.0], [100.0], [1000.0]]) * (rank + 1)
    (processes.join(own) * weights).sum().backward()
    assert own.grad.flatten().tolist() == [[3.0, 30.0], [300.0, 3000.0]][rank]
    own = torch.tensor([3.0 + rank], requires_grad=True)
    total = processes.sum(own)
    assert total.item() == 7.0
    (total * (rank + 1)).sum().backward()
    assert own.grad.item() == 3.0


def check_norm(processes):
    """BatchNorm over two halves is BatchNorm over the whole, there and back."""
    images = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 + 7
    factors = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    for momentum in (0.1, None):
        plain = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum))
        synced = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum))
        assert synchronise(synced, processes) == []
        assert synced.state_dict().keys() == plain.state_dict().keys()
        half = slice(2 * processes.rank, 2 * processes.rank + 2)
        whole, part = images.clone().requires_grad_(), images[half].clone().requires_grad_()
        for _ in range(2):
            expected, found = plain(whole), synced(part)
        torch.testing.assert_close(found, expected[half])
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(synced.state_dict()[name], value)
        (expected * factors).sum().backward()
        (found * factors[half]).sum().backward()
        torch.testing.assert_close(part.grad, whole.grad[half], rtol=1e-4, atol=1e-5)
        gradient = processes.sum_in_place(synced[0].weight.grad.clone())
        torch.testing.assert_close(gradient, plain[0].weight.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(synced.eval()(part), plain.eval()(whole)[half])


def settings(*assignments):
    known = installed()
    tiny = {
        "run": {"steps": 4, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
        "data": {"name": "faces", "count": 24},
        "detector": {"name": "hourglass", "features": 8, "depth": 1},
        "generator": {"name": "residual", "width": 4, "blocks": 1},
    }
    # As of a run, whose schedule stays when it is resumed to more steps.
    layers = [*read_recipe("reconstruction-quick", known), Layer("test", tiny, source="run")]
    return resolve(merge([*layers, read_assignments(assignments)]), known)


def check_runs(processes, folder):
    common = ("run.log_every=1", "run.checkpoint_every=1", "run.keep=9")
    start(settings(*common, "run.steps=3"), folder / "two")
    resume(folder / "one-two", [read_assignments(["run.steps=3"])])
    start(settings(*common, "run.steps=1"), folder / "two-one")


if __name__ == "__main__":
    with together() as everybody:
        with together() as again:
            assert again is everybody
        check_messages(everybody)
        check_gradients(everybody)
        check_norm(everybody)
        check_runs(everybody, Path(sys.argv[1]))
    assert ALONE.tell(None, True, {}) == (None, True, {})
