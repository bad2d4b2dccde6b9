"""Watching what belongs to the whole process: random numbers and torch's settings."""

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch

from lmkit.testing.check import expect


@contextmanager
def global_state_kept() -> Iterator[None]:
    """Put global random state and torch's settings back to what they were before the body."""
    torch_state, cuda_states = torch.get_rng_state(), _cuda_states()
    numpy_state, python_state = np.random.get_state(), random.getstate()
    settings = _torch_settings()
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        for number, state in enumerate(cuda_states):
            torch.cuda.set_rng_state(state, number)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_default_dtype(settings["torch's default dtype"])
        torch.set_grad_enabled(settings["whether torch computes gradients"])
        torch.backends.cudnn.benchmark = settings["torch.backends.cudnn.benchmark"]
        if torch.are_deterministic_algorithms_enabled() != settings["torch's choice of algorithms"]:
            # Not without need: torch imports its compiler for it.
            torch.use_deterministic_algorithms(settings["torch's choice of algorithms"])


@contextmanager
def nothing_global_changes(
    subject: object, doing: str, *, torch_may_draw: bool, quiet: bool = True
) -> Iterator[None]:
    """Raise if the body draws global random numbers or changes torch's settings; undo both.

    Args:
        subject: Whose body it is.
        doing: What it does, for the message: ``construction``.
        torch_may_draw: Whether torch's own random numbers may be drawn, as initial weights and
            dropout are; the run sees to those.
        quiet: Whether it prints nothing either.

    Raises:
        AssertionError: If something has changed.
    """
    printed = io.StringIO()
    torch_state, cuda_states = torch.get_rng_state(), _cuda_states()
    numpy_state, python_state = np.random.get_state(), random.getstate()
    settings = _torch_settings()
    with global_state_kept():
        with redirect_stdout(printed), redirect_stderr(printed):
            yield
        changed = [name for name, value in _torch_settings().items() if value != settings[name]]
        if random.getstate() != python_state:
            changed.append("the random numbers of random")
        if not _equal(np.random.get_state(), numpy_state):
            changed.append("the random numbers of numpy.random")
        if not torch_may_draw:
            drawn = zip(_cuda_states(), cuda_states, strict=False)
            if not torch.equal(torch.get_rng_state(), torch_state) or not all(
                torch.equal(now, before) for now, before in drawn
            ):
                changed.append("the random numbers of torch")
        said = printed.getvalue().strip()[:60]
        expect(quiet is False or not said, subject, f"{doing} to print nothing", repr(said))
        expect(not changed, subject, f"{doing} to change nothing global", " and ".join(changed))


def _torch_settings() -> dict[str, Any]:
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "whether torch computes gradients": torch.is_grad_enabled(),
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch's choice of algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def _cuda_states() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


def _equal(first: Any, second: Any) -> bool:
    """Compare numpy's states, which hold an array each."""
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
