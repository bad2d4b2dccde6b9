"""What detectors, generators and losses promise, because they are networks."""

import copy
import dataclasses
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from lmkit.testing.check import Skipped, expect, promise
from lmkit.testing.component import NETWORKS
from lmkit.testing.inputs import arguments, difference, mapped, objective, same, tensors
from lmkit.testing.subject import Subject


@promise(
    "seed",
    *NETWORKS,
    remedy="Take initial weights from torch's global generator alone, in the constructor.",
)
def seed(subject: Subject) -> None:
    """Built twice with the same seed, it has the same weights."""
    first, second = subject.build(seed=3), subject.build(seed=3)
    other = _changed(first.state_dict(), second.state_dict())
    expect(not other, subject, "the same weights from the same seed", f"others in {_some(other)}")


@promise(
    "gradients",
    *NETWORKS,
    remedy="Look for detach(), argmax, no_grad() or a layer that is made and not used; what is not "
    "to train takes requires_grad_(False) or lmkit.api.freeze.",
)
def gradients(subject: Subject) -> None:
    """Gradients reach every parameter that is to be trained, and are finite."""
    network = subject.build().train()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not trained:
        return
    given = arguments(subject)
    if subject.kind == "loss":
        # One that comes into force later on is to be seen when it has.
        given = (dataclasses.replace(given[0], number=10**6),)
    total = objective(network(*given))
    expect(total.requires_grad, subject, "a result that trains its parameters", "a constant")
    total.backward()
    missed = [name for name, p in trained.items() if p.grad is None]
    expect(not missed, subject, "a gradient for every parameter", f"none for {_some(missed)}")
    wild = [name for name, p in trained.items() if not p.grad.isfinite().all()]
    expect(not wild, subject, "finite gradients", f"others for {_some(wild)}")
    moved = any(bool(p.grad.any()) for p in trained.values())
    expect(moved, subject, "gradients other than 0", "0 everywhere")


@promise("repeatable", *NETWORKS, remedy="Keep chance out of eval mode.")
def network_repeatable(subject: Subject) -> None:
    """In eval mode the same input gives the same output, bit for bit."""
    network, given = subject.build().eval(), arguments(subject)
    with torch.no_grad():
        first, second = network(*given), network(*given)
    apart = difference(first, second)
    expect(same(first, second), subject, "the same output twice", f"a difference of {apart}")


@promise(
    "save and load",
    *NETWORKS,
    remedy="Keep everything that training changes in parameters and buffers, and nothing that a "
    "constructor cannot make anew.",
)
def save_and_load(subject: Subject) -> None:
    """Its state dict, saved and loaded into a new one, reproduces it bit for bit."""
    network, given = subject.build(), arguments(subject)
    # So that neither weights nor running means are those of a new one any more.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    network.train()(*given)
    state = network.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    expect(not odd, subject, "a state dict of tensors", f"something else in {_some(odd)}")
    content = save({name: value.detach().clone() for name, value in state.items()})
    fresh = subject.build()
    fresh.load_state_dict(load(content))
    with torch.no_grad():
        before, after = network.eval()(*given), fresh.eval()(*given)
    apart = difference(before, after)
    expect(same(before, after), subject, "the same output when loaded", f"a difference of {apart}")


@promise(
    "copy", *NETWORKS, remedy="Keep out of the object what cannot be copied, or is shared by all."
)
def copies(subject: Subject) -> None:
    """A deep copy does the same, and has weights of its own."""
    network, given = subject.build().eval(), arguments(subject)
    twin: nn.Module = copy.deepcopy(network)
    with torch.no_grad():
        first, second = network(*given), twin(*given)
        expect(same(first, second), subject, "a copy that does the same", difference(first, second))
        for parameter in twin.parameters():
            parameter.add_(1)
        expect(same(network(*given), first), subject, "a copy of its own", "shared weights")


@promise(
    "weights",
    *NETWORKS,
    remedy="Leave parameters to the optimiser, and running means to train mode.",
)
def weights(subject: Subject) -> None:
    """Neither train(), eval() nor a pass changes a parameter, and in eval mode no buffer either."""
    network, given = subject.build(), arguments(subject)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    network.train()
    network(*given)
    changed = _changed(before, dict(network.named_parameters()))
    expect(not changed, subject, "parameters to stay", f"a pass that changes {_some(changed)}")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    with torch.no_grad():
        network(*given)
    changed = _changed(state, network.state_dict())
    expect(not changed, subject, "eval mode to change nothing", f"changes in {_some(changed)}")


@promise(
    "inputs",
    *NETWORKS,
    remedy="Do not write into what is given: no x += 1, no add_(), no inplace=True as first layer.",
)
def network_inputs(subject: Subject) -> None:
    """What it is given stays as it was."""
    network, given = subject.build().train(), arguments(subject)
    before = mapped(given, torch.Tensor.clone)
    network(*given)
    names = [name for name, apart in difference(before, given).items() if apart]
    expect(not names, subject, "its input to stay as it was", f"changes in {_some(names)}")


@promise(
    "cuda",
    *NETWORKS,
    remedy="Make tensors on the device of the input, and keep constants in buffers.",
)
def network_cuda(subject: Subject) -> None:
    """On a CUDA device it does the same as on the CPU."""
    device = cuda_device()
    network, given = subject.build().eval(), arguments(subject)
    with torch.no_grad():
        here = network(*given)
        there = network.to(device)(*mapped(given, lambda tensor: tensor.to(device)))
    astray = [name for name, tensor in tensors(there) if tensor.device.type != device.type]
    expect(not astray, subject, "results on the device", f"{_some(astray)} elsewhere")
    # Convolutions round to TF32 there.
    apart = max(difference(here, there).values(), default=0.0)
    size = max((t.abs().max().item() for _, t in tensors(here)), default=0.0)
    wanted = "what the CPU computes, to a hundredth"
    expect(apart <= 0.01 * max(1.0, size), subject, wanted, f"a difference of {apart:.3g}")


def cuda_device() -> torch.device:
    """Return a CUDA device.

    Raises:
        Skipped: If there is none.
    """
    if not torch.cuda.is_available():
        raise Skipped("there is no CUDA device here")
    return torch.device("cuda")


def in_half_precision(subject: Subject) -> tuple[Any, Any]:
    """Return what it makes of two images in float32 and under bfloat16 autocast."""
    # Two, because half precision is slow on many a CPU.
    network, given = subject.build().eval(), arguments(subject, 2)
    with torch.no_grad():
        full = network(*given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(*given)
    return full, half


def _changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> list[str]:
    return [
        name
        for name in sorted({*before, *after})
        if name not in before
        or name not in after
        or not torch.equal(before[name].detach(), after[name].detach())
    ]


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
