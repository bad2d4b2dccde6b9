"""The pixel loss against its closed form."""

import pytest
import torch
from torch import Tensor

from lmkit.api import Step
from lmkit_interintra.losses import MeanSquaredError
from lmkit_interintra.pairings import InterIntra


def make_step(ends: tuple[Tensor, ...], original: Tensor, deformed: Tensor) -> Step:
    return Step(
        number=0,
        views={"original": original, "deformed": deformed},
        landmarks={},
        warps={},
        routes=InterIntra().routes()[: len(ends)],
        stages=tuple((torch.zeros_like(end), end) for end in ends),
    )


def test_it_is_the_sum_of_the_routes_means() -> None:
    original, deformed = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    step = make_step((deformed + 0.5, original - 0.1), original, deformed)
    loss = MeanSquaredError()(step)
    assert loss.item() == pytest.approx(0.5**2 + 0.1**2, rel=1e-5)


def test_the_image_in_between_is_compared_with_nothing() -> None:
    original, deformed = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert MeanSquaredError()(make_step((deformed,), original, deformed)) == 0


def test_half_precision_ends_are_compared_in_float32() -> None:
    deformed = torch.full((1, 3, 4, 4), 0.5)
    end = (deformed + 0.25).bfloat16()
    loss = MeanSquaredError()(make_step((end,), deformed, deformed))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.0625)
