import pytest
import torch

from lmkit.geometry.warps import AffineWarp
from lmkit.interfaces.landmarks import Landmarks
from lmkit.interfaces.pairing import Route
from lmkit.interfaces.step import Step


def step(routes, *, dtype=torch.float32):
    views = {name: torch.rand(2, 3, 4, 4) for name in ("original", "deformed", "auxiliary")}
    warp = AffineWarp(torch.eye(3)[:2].expand(2, 2, 3))
    stages = tuple(
        tuple(torch.rand(2, 3, 4, 4).to(dtype) for _ in route.stops[1:]) for route in routes
    )
    return Step(
        number=0,
        views=views,
        landmarks={name: Landmarks(torch.zeros(2, 5, 2)) for name in views},
        warps={"original": warp, "deformed": warp},
        routes=tuple(routes),
        stages=stages,
    )


ROUTES = [
    Route("original", ("auxiliary",), "deformed"),
    Route("deformed", (), "original"),
]


def test_ends_and_targets_go_together_route_by_route():
    record = step(ROUTES)
    assert record.ends.shape == record.targets.shape == (4, 3, 4, 4)
    assert torch.equal(record.ends[:2], record.stages[0][-1])
    assert torch.equal(record.ends[2:], record.stages[1][-1])
    assert torch.equal(record.targets[:2], record.views["deformed"])
    assert torch.equal(record.targets[2:], record.views["original"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_see_float32_whatever_the_generator_computes_in(dtype):
    record = step(ROUTES, dtype=dtype)
    assert record.ends.dtype is record.targets.dtype is torch.float32


def test_every_loss_sees_the_same_tensors():
    record = step(ROUTES)
    assert record.ends is record.ends
    assert record.targets is record.targets
