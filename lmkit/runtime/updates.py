"""An optimiser's step that can be left out on the device's own word, without waiting for it."""

import torch
from torch import Tensor


def heeds_flag(device: torch.device) -> bool:
    """Return whether a fused optimiser there reads the flag that tells it to change nothing.

    On MPS it looks at no flag (torch 2.9 to 2.12), and would poison the weights.

    Args:
        device: Where the parameters are.
    """
    return device.type in ("cuda", "cpu")


def step_unless(optimizer: torch.optim.Optimizer, skipped: Tensor, *, heeds: bool) -> None:
    """Take an optimiser's step, or change neither weights nor moments.

    Args:
        optimizer: A fused one.
        skipped: A scalar on the device of the weights, float: 1 to change nothing, else 0.
        heeds: Whether it may be trusted with ``found_inf``. Where not, everything is copied before
            and put back, which takes the memory of weights and moments once more.
    """
    if heeds:
        # How torch.amp.GradScaler tells a fused optimiser to leave everything as it is.
        optimizer.found_inf = skipped  # type: ignore[attr-defined]
        optimizer.step()
        return
    every = [each for group in optimizer.param_groups for each in group["params"]]
    learning = [each for each in every if each.grad is not None]
    before = [(each.detach().clone(), _copy(optimizer, each)) for each in learning]
    optimizer.step()
    with torch.no_grad():
        for each, (weights, state) in zip(learning, before, strict=True):
            _put_back(each, weights, skipped)
            for name, value in optimizer.state[each].items():
                # The first step makes its state, of zeros.
                _put_back(value, state.get(name, torch.zeros_like(value)), skipped)


def _copy(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in optimizer.state.get(parameter, {}).items()}


def _put_back(now: Tensor, before: Tensor, skipped: Tensor) -> None:
    now.copy_(torch.where(skipped.to(now.device).bool(), before, now))
