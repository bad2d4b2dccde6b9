"""Compiled networks: the same functions by kernels that torch.compile makes for them.

Networks are compiled in place. Their parameters keep their names, so that checkpoints are the same
with and without, and a run may go on either way.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, get_args

import torch
from torch import nn

from lmkit.errors import LmkitError
from lmkit.runtime.assemble import Assembly

Compile = Literal["none", "default", "reduce-overhead", "max-autotune"]
"""How networks are compiled; the modes are torch.compile's, and the last two use CUDA graphs."""

GRAPHS = ("reduce-overhead", "max-autotune")
"""The modes that use CUDA graphs."""

BACKEND = "inductor"


def compile_networks(assembly: Assembly, mode: str, device: torch.device) -> Iterator[str]:
    """Let networks be compiled when they are first called.

    Losses are compiled in their parts, because what they read is no tensor.

    Args:
        assembly: The components, where they compute; changed in place.
        mode: How, of [Compile][lmkit.training.compiling.Compile].
        device: Where they compute.

    Yields:
        A sentence, if nothing can be compiled here; the networks then stay as they are.
    """
    if mode == "none":
        return
    assert mode in get_args(Compile)
    if reason := why_not(device):
        yield f"run.compile={mode}: nothing is compiled, because that fails here ({reason})."
        return
    for name, network in assembly.networks():
        for part in _parts(network) if name == "losses" else [network]:
            part.compile(backend=BACKEND, mode=mode if mode != "default" else None, dynamic=False)


def refuse_graphs(mode: str, accumulate: int, device: torch.device) -> None:
    """Refuse CUDA graphs where gradients are collected in several passes.

    A parameter's gradient lies in the memory of the graph that made it, which the next pass writes
    over: what is added up would be wrong, or end in an error of torch's in the midst of a step.

    Args:
        mode: Of [Compile][lmkit.training.compiling.Compile].
        accumulate: Passes a step.
        device: Where networks compute.

    Raises:
        LmkitError: If both are asked for on a CUDA device.
    """
    if mode in GRAPHS and accumulate > 1 and device.type == "cuda":
        raise LmkitError(
            f"run.compile={mode} records CUDA graphs, in whose memory gradients would be written "
            f"over between the {accumulate} passes of run.accumulate={accumulate}.",
            remedy="Give --set run.compile=default, or --set run.accumulate=1.",
        )


def why_not(device: torch.device) -> str | None:
    """Return why networks cannot be compiled on a device; None if they can."""
    probe = _Probe().to(device)
    probe.compile(backend=BACKEND)
    try:
        probe(torch.zeros(2, 3, 8, 8, device=device)).sum().backward()
    except Exception as error:
        # Of many kinds: no C++ compiler, no Triton, a GPU too old for it, a read-only cache.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    finally:
        torch.compiler.reset()
    return None


class _Probe(nn.Module):
    """A small network with a forward of its own: older torch compiles none that is all torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(images)
        return found


@contextmanager
def forgiving(mode: str) -> Iterator[None]:
    """Let what cannot be compiled run as it is, in place of ending the run."""
    from torch._dynamo import config

    with nullcontext() if mode == "none" else config.patch(suppress_errors=True):
        yield


def _parts(losses: nn.Module) -> Iterator[nn.Module]:
    for loss in losses.children():
        yield from loss.children()
