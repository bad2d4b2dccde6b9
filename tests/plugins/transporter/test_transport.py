"""Feature transport, in closed form."""

import torch

from lmkit.api import gaussian_heatmaps
from lmkit_transporter.transport import transport, union


def test_the_union_is_the_sum_where_landmarks_are_apart_and_never_above_one() -> None:
    apart = gaussian_heatmaps(torch.tensor([[[-0.8, -0.8], [0.8, 0.8]]]), 20, 20, 0.7)
    torch.testing.assert_close(union(apart), apart.sum(dim=1, keepdim=True))
    together = torch.full((1, 3, 2, 2), 0.5)
    torch.testing.assert_close(union(together), torch.full((1, 1, 2, 2), 1 - 0.5**3))
    assert union(torch.ones(1, 4, 2, 2)).eq(1).all()


def test_the_union_does_not_depend_on_the_order_and_trains_every_landmark() -> None:
    heatmaps = torch.rand(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(union(heatmaps), union(heatmaps.flip(1)))
    heatmaps[0, 0, 0, 0] = 1  # on a landmark the product's other factors have no slope
    heatmaps.requires_grad_()
    union(heatmaps).sum().backward()
    assert heatmaps.grad is not None
    assert heatmaps.grad.isfinite().all()
    assert heatmaps.grad[0, 0, 0, 0] > 0


def test_equation_1_cell_by_cell() -> None:
    source, target = torch.tensor([[[[2.0, 2.0, 2.0, 2.0]]]]), torch.tensor([[[[5.0] * 4]]])
    before = torch.tensor([[[[0.0, 1.0, 0.0, 0.5]]]])
    after = torch.tensor([[[[0.0, 0.0, 1.0, 0.5]]]])
    moved = transport(source, target, before, after)
    # Elsewhere the source; erased where it was; the target's where it is; a mixture in between.
    assert moved.flatten().tolist() == [2.0, 0.0, 5.0, 0.25 * 2 + 0.5 * 5]
