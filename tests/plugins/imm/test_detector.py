"""The pose encoder's layers, and marginal soft-argmax in closed form."""

import math

import pytest
import torch
from torch import nn

from lmkit.api import LmkitError, mean_position, soft_argmax
from lmkit_imm.detector import MarginalDetector, marginal_softmax


def test_a_point_is_the_expectation_of_each_axis() -> None:
    # Column means are 1 and 3, row means 2 and 2.
    scores = torch.tensor([[[[0.0, 4.0], [2.0, 2.0]]]])
    maps = marginal_softmax(scores, beta=0.5)
    right = 1 / (1 + math.exp(-0.5 * (3 - 1)))
    expected = torch.tensor([[(1 - right) / 2, right / 2], [(1 - right) / 2, right / 2]])
    assert torch.allclose(maps[0, 0], expected)
    # The centres of two cells are at -1/2 and 1/2.
    assert mean_position(maps).flatten().tolist() == pytest.approx([right - 0.5, 0.0], abs=1e-6)


def test_it_is_the_plain_soft_argmax_where_rows_and_columns_add_up() -> None:
    scores = torch.randn(2, 3, 6, 1) + torch.randn(2, 3, 1, 5)
    points = mean_position(marginal_softmax(scores, 2.0))
    assert torch.allclose(points, soft_argmax(scores, 2.0), atol=1e-6)
    other = torch.randn(2, 3, 6, 5)
    points = mean_position(marginal_softmax(other, 2.0))
    assert not torch.allclose(points, soft_argmax(other, 2.0), atol=1e-3)


def test_a_constant_changes_nothing_and_swapped_axes_swap_x_and_y() -> None:
    scores = torch.randn(1, 2, 4, 4)
    points = mean_position(marginal_softmax(scores))
    assert torch.allclose(mean_position(marginal_softmax(scores + 7)), points, atol=1e-6)
    swapped = mean_position(marginal_softmax(scores.transpose(2, 3)))
    assert torch.allclose(swapped, points.flip(2), atol=1e-6)


def test_the_further_a_row_stands_out_the_closer_is_the_point_to_it() -> None:
    scores = torch.zeros(1, 1, 8, 8)
    scores[..., 6, :] = 1
    at = [mean_position(marginal_softmax(scores, beta))[0, 0, 1].item() for beta in (1, 5, 50)]
    assert 0 < at[0] < at[1] < at[2] == pytest.approx((2 * 6 + 1) / 8 - 1, abs=1e-5)


def test_it_is_made_in_float32_from_half_precision() -> None:
    scores = torch.randn(1, 2, 4, 4).bfloat16()
    assert marginal_softmax(scores).dtype == torch.float32
    assert torch.equal(marginal_softmax(scores), marginal_softmax(scores.float()))


def test_the_layers_are_the_paper_s() -> None:
    detector = MarginalDetector(landmarks=10, image_size=128)
    convs = [each for each in detector.modules() if isinstance(each, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs] == [
        *((3, 32, 7, 1), (32, 32, 3, 1)),
        *((32, 64, 3, 2), (64, 64, 3, 1)),
        *((64, 128, 3, 2), (128, 128, 3, 1)),
        *((128, 256, 3, 2), (256, 256, 3, 1)),
        (256, 10, 1, 1),
    ]
    assert all(0.005 < conv.weight.std() < 0.01 for conv in convs)


@pytest.mark.parametrize(("image_size", "blocks"), [(128, 4), (64, 3)])
def test_score_maps_are_16_x_16_with_one_block_less_for_half_the_image(
    image_size: int, blocks: int
) -> None:
    detector = MarginalDetector(landmarks=2, image_size=image_size, width=2, blocks=blocks)
    found = detector(torch.rand(1, 3, image_size, image_size))
    assert found.score_maps is not None
    assert found.score_maps.shape == (1, 2, 16, 16)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"width": 0}, r"detector\.width=0"),
        ({"blocks": 0}, r"detector\.blocks=0"),
        ({"beta": 0.0}, r"detector\.beta=0\.0"),
        ({"image_size": 36}, r"run\.image_size=36 is refused: 4 blocks halve"),
        ({"image_size": 8}, r"run\.image_size=8"),
    ],
)
def test_what_cannot_work_is_refused(option: dict[str, float], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        MarginalDetector(**({"landmarks": 2, "image_size": 32} | option))
