"""The image generation network's layers, and the heatmaps that it is given."""

import math

import pytest
import torch
from torch import Tensor, nn

from lmkit.api import Landmarks, LmkitError
from lmkit_imm.detector import MarginalDetector
from lmkit_imm.encoder import Encoder
from lmkit_imm.generator import ConditionalGenerator


def test_the_layers_are_the_paper_s() -> None:
    generator = ConditionalGenerator(landmarks=10, image_size=128)
    convs = [each for each in generator.renderer.modules() if isinstance(each, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in [*convs, generator.colours]] == [
        *((266, 256), (256, 256)),
        *((256, 128), (128, 128)),
        *((128, 64), (64, 64)),
        *((64, 32), (32, 3)),
    ]
    assert {conv.kernel_size for conv in [*convs, generator.colours]} == {(3, 3)}
    detector = MarginalDetector(landmarks=10, image_size=128)
    assert str(generator.encoder) == str(detector.encoder)


def test_the_renderer_is_never_narrower_than_the_first_block() -> None:
    generator = ConditionalGenerator(landmarks=1, image_size=64, width=2, blocks=6)
    convs = [each for each in generator.renderer.modules() if isinstance(each, nn.Conv2d)]
    assert [conv.out_channels for conv in convs[::2]] == [16, 8, 4, 2, 2, 2]


def test_heatmaps_are_the_paper_s() -> None:
    seen: list[Tensor] = []

    class Watched(ConditionalGenerator):
        def redraw(self, images: Tensor, heatmaps: Tensor) -> Tensor:
            seen.append(heatmaps)
            return super().redraw(images, heatmaps)

    generator = Watched(landmarks=1, image_size=128, width=1)
    # On the centre of a cell, with the centre of the next one 2 / 16 away.
    points = torch.tensor([[[1 / 16, 1 / 16]]])
    generator(torch.rand(1, 3, 128, 128), Landmarks(points), Landmarks(points))
    heatmap = seen[0][0, 0]
    assert heatmap.shape == (16, 16)
    assert heatmap[8, 8].item() == pytest.approx(1)
    assert heatmap[8, 9].item() == pytest.approx(math.exp(-((2 / 16) ** 2) / (2 * 0.1**2)))


def test_the_image_depends_on_the_source_and_on_the_target() -> None:
    torch.manual_seed(0)
    generator = ConditionalGenerator(landmarks=2, image_size=16, width=4, blocks=3).train()
    images = torch.rand(2, 3, 16, 16)
    points = (torch.rand(2, 2, 2) - 0.5).requires_grad_()
    drawn = generator(images, Landmarks(points), Landmarks(points))
    assert drawn.shape == images.shape
    assert 0 < drawn.min() < drawn.max() < 1
    (drawn * torch.rand_like(drawn)).sum().backward()
    assert points.grad is not None
    assert bool(points.grad.any(dim=2).all())
    other = generator(images.flip(3), Landmarks(points), Landmarks(points))
    assert not torch.allclose(drawn, other, atol=1e-4)


def test_one_block_keeps_the_size() -> None:
    assert Encoder(4, 1)(torch.rand(1, 3, 8, 8)).shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"width": 0}, r"generator\.width=0"),
        ({"sigma": 0.0}, r"generator\.sigma=0\.0"),
        ({"image_size": 30}, r"run\.image_size=30"),
    ],
)
def test_what_cannot_work_is_refused(option: dict[str, float], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        ConditionalGenerator(**({"landmarks": 2, "image_size": 32} | option))
