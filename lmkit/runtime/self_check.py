"""Whether a device computes what the CPU computes: a few small steps on both, compared.

What is compared is what training stands on: warps, convolutions and BatchNorm forward and backward,
the soft-argmax, clipping, the optimiser, and an update that is left out.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from lmkit.geometry.soft_argmax import soft_argmax
from lmkit.geometry.warps import AffineWarp
from lmkit.registry.discovery import describe
from lmkit.runtime.layout import layout_for
from lmkit.runtime.updates import heeds_flag, step_unless

TOLERANCE = 1e-3
"""How far a device may be from the CPU in float32: the norm of the difference, as a share of the
norm. It is between what rounding comes to and what wrong kernels have come to."""

_EXACT = ("weights after a skipped update", "moments after a skipped update")
"""What must not differ at all from what it was before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a self-check came to.

    Args:
        differences: From the CPU, by what was compared, as a share of it.
        fault: What is wrong, as the end of a sentence; empty if nothing is.
    """

    differences: dict[str, float] = field(default_factory=dict)
    fault: str = ""


@cache
def verdict(device: str) -> Verdict:
    """Compare a device with the CPU, once a process; takes a second or less.

    Args:
        device: Its name, such as ``mps`` or ``cuda:0``.
    """
    return check_device(torch.device(device))


def check_device(device: torch.device) -> Verdict:
    """Compare a device with the CPU.

    Args:
        device: Any that is there; the CPU is compared with itself.
    """
    wanted = _small_steps(torch.device("cpu"))
    try:
        found = _small_steps(device)
    except Exception as error:
        # Of many kinds: an operation that is missing, a driver that does not fit.
        return Verdict(fault=f"a small training step fails there ({describe(error).rstrip('.')})")
    differences = {name: _difference(found[name], wanted[name]) for name in wanted}
    for name, share in differences.items():
        limit = 0.0 if name in _EXACT else TOLERANCE
        if not share <= limit:
            text = "must not change at all, and do" if name in _EXACT else "differ from the CPU's"
            return Verdict(differences, f"its {name} {text} (by {share:.2g} of them)")
    return Verdict(differences)


class _Network(nn.Module):
    """What detectors and generators are made of, as small as it can be."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.within = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.maps = nn.Conv2d(8, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        low = self.down(images)
        high = nn.functional.interpolate(low + self.within(low), scale_factor=2, mode="bilinear")
        found: Tensor = self.maps(high + self.up(nn.functional.max_pool2d(high, 2)))
        return found


def _small_steps(device: torch.device) -> dict[str, Tensor]:
    """Return what steps come to, each on the CPU, flat; the last two as changes of what was."""
    with torch.random.fork_rng(devices=[]), _full_float32(device):
        torch.manual_seed(0)
        network, images = _Network(), torch.rand(4, 3, 16, 16)
        angle, scale, shift = torch.rand(4), torch.rand(4) / 2 + 0.75, torch.rand(4, 2) / 5
        given = [torch.randn_like(each) for each in network.parameters()]
        network.to(device)
        network.to(memory_format=layout_for(device))
        warp = AffineWarp.from_similarity(*(each.to(device) for each in (angle, scale, shift)))
        pixels = images.to(device)
        warped = warp(pixels)
        maps = network(torch.cat((pixels, warped)))
        points = soft_argmax(maps)
        expected = warp.map_points(points[:4])
        loss = (points[4:] - expected).square().mean() + maps.square().mean()
        loss.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        found = {
            "warped images": warped,
            "landmarks": points,
            "losses": loss,
            "gradients": _flat(gradients),
            "running statistics": _flat([b for b in network.buffers() if b.is_floating_point()]),
        }
        return {
            name: value.detach().float().cpu().flatten()
            for name, value in (found | _updates(network, given, device)).items()
        }


def _updates(network: nn.Module, given: list[Tensor], device: torch.device) -> dict[str, Tensor]:
    """Update with gradients that are the same everywhere, and once with one that is not finite.

    With its own, rounding would decide the sign of Adam's first step where a gradient is near zero.
    """
    learning = list(network.parameters())
    optimizer = torch.optim.Adam(learning, lr=0.01, weight_decay=0.01, fused=True)
    heeds = heeds_flag(device)

    def update(factor: float) -> None:
        for parameter, gradient in zip(learning, given, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(factor * gradient)
        norm = clip_grad_norm_(learning, 1.0)
        step_unless(optimizer, (~norm.isfinite()).float(), heeds=heeds)

    def state() -> tuple[Tensor, Tensor]:
        moments = [value for each in learning for value in optimizer.state[each].values()]
        return _flat(learning), _flat(moments)

    update(1.0)
    update(-0.5)
    weights, moments = state()
    update(float("nan"))
    after, moments_after = state()
    # Where nothing has changed, 1; the difference from 1 is the share that has.
    return {
        "updated weights": weights,
        "moments": moments,
        _EXACT[0]: (after == weights).float(),
        _EXACT[1]: (moments_after == moments).float(),
    }


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.detach().float().flatten().cpu() for each in tensors])


def _difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """Keep cuDNN from rounding what is multiplied to the 10 bits of TF32."""
    if device.type != "cuda":
        yield
        return
    cudnn: Any = torch.backends.cudnn
    convolutions = cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before
