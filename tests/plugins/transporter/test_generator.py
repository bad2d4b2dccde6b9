"""The two networks, what gradients reach, and what is seen of the target."""

import math

import pytest
import torch
from torch import Tensor, nn

from lmkit.api import Landmarks, LmkitError
from lmkit_transporter import generator as module
from lmkit_transporter.generator import Transporter


def build(**options: object) -> Transporter:
    torch.manual_seed(0)
    return Transporter(**({"landmarks": 2, "image_size": 16, "width": 4} | options))


def scene(side: int = 16) -> tuple[Tensor, Landmarks, Landmarks]:
    images = torch.rand(2, 2, 3, side, side, generator=torch.Generator().manual_seed(1))
    source = torch.tensor([[[-0.5, -0.5], [0.5, 0.0]]]).expand(2, 2, 2).clone().requires_grad_()
    target = torch.tensor([[[-0.4, 0.5], [0.5, 0.1]]]).expand(2, 2, 2).clone().requires_grad_()
    return images[0], Landmarks(source), Landmarks(target, images=images[1])


def convolutions(network: nn.Module) -> list[tuple[int, int, int, int]]:
    return [
        (each.in_channels, each.out_channels, each.kernel_size[0], each.stride[0])
        for each in network.modules()
        if isinstance(each, nn.Conv2d)
    ]


def test_the_layers_are_the_paper_s() -> None:
    generator = Transporter(landmarks=10, image_size=128)
    assert convolutions(generator.features) == [
        *((3, 32, 7, 1), (32, 32, 3, 1)),
        *((32, 64, 3, 2), (64, 64, 3, 1)),
        *((64, 128, 3, 2), (128, 128, 3, 1)),
    ]
    assert [conv[:2] for conv in convolutions(generator.refine)] == [
        *((128, 128), (128, 128)),
        *((128, 64), (64, 64)),
        *((64, 32), (32, 3)),
    ]


def test_one_block_keeps_the_size() -> None:
    images, source, target = scene()
    assert build(blocks=1)(images, source, target).shape == images.shape


def test_features_and_gaussians_are_transported_as_the_paper_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Tensor, ...]] = []

    def watched(*given: Tensor) -> Tensor:
        seen.append(given)
        return given[0]

    monkeypatch.setattr(module, "transport", watched)
    generator = build(landmarks=1, image_size=32, blocks=1, width=1).eval()
    images = torch.rand(2, 3, 32, 32)
    # On the centre of a cell, with the centre of the next one 2 / 32 away.
    here, there = torch.full((1, 1, 2), 1 / 32), torch.full((1, 1, 2), -1 / 32)
    generator(images[:1], Landmarks(here), Landmarks(there, images=images[1:]))
    ((source, target, before, after),) = seen
    torch.testing.assert_close(source, generator.features(images[:1]))
    torch.testing.assert_close(target, generator.features(images[1:]))
    assert before.shape == (1, 1, 32, 32)
    assert before[0, 0, 16, 16].item() == after[0, 0, 15, 15].item() == pytest.approx(1)
    # exp(-d^2 / sigma^2) with sigma = 0.1 half sides, as the authors' code has it.
    expected = math.exp(-((2 / 32) ** 2) / 0.1**2)
    assert before[0, 0, 16, 17].item() == pytest.approx(expected, rel=0.01)


def test_of_the_target_it_sees_what_its_landmarks_point_at() -> None:
    generator = build(blocks=1, sigma=0.3).eval()
    images, source, target = scene()
    assert target.images is not None
    changed = target.images.clone()
    changed[:, :, :3, -3:] = 0  # far from every landmark, beyond what two filters see
    drawn = generator(images, source, target)
    other = generator(images, source, Landmarks(target.points, images=changed))
    torch.testing.assert_close(drawn, other, atol=1e-6, rtol=0)
    changed[:, :, 11:14, 3:6] = 0  # where a landmark is
    other = generator(images, source, Landmarks(target.points, images=changed))
    assert (drawn - other).abs().max() > 1e-4


def gradients(generator: Transporter) -> tuple[bool, bool, bool]:
    """Return whether gradients reach the source's points, the target's points and the image."""
    images, source, target = scene()
    images.requires_grad_()
    (generator.train()(images, source, target) * torch.rand(2, 3, 16, 16)).sum().backward()
    slopes = (source.points.grad, target.points.grad, images.grad)
    return tuple(slope is not None and bool(slope.any()) for slope in slopes)  # type: ignore[return-value]


def test_gradients_stop_at_the_source_s_landmarks_and_pass_its_image() -> None:
    assert gradients(build()) == (False, True, True)
    assert gradients(build(stop_source=False)) == (True, True, True)


def test_the_feature_network_learns_from_the_target_alone() -> None:
    images, source, target = scene()
    assert target.images is not None
    # With no landmark of the target in view, nothing of the target is transported.
    away = Landmarks(torch.full((2, 2, 2), 50.0), images=target.images)
    for stop_source in (True, False):
        generator = build(stop_source=stop_source)
        generator(images, source, away).sum().backward()
        learnt = [each.grad is not None and each.grad.any() for each in generator.parameters()]
        count = len([*generator.features.parameters()])
        assert any(learnt[:count]) != stop_source
        assert any(learnt[count:])


def test_it_says_what_it_needs() -> None:
    images, source, target = scene()
    with pytest.raises(LmkitError, match="features of the target's images"):
        build()(images, source, Landmarks(target.points))


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"width": 0}, r"generator\.width=0"),
        ({"blocks": 0}, r"generator\.blocks=0"),
        ({"sigma": 0.0}, r"generator\.sigma=0\.0"),
        ({"image_size": 18}, r"run\.image_size=18"),
    ],
)
def test_what_cannot_work_is_refused(option: dict[str, float], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        build(**option)
