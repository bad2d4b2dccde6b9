import pytest
import torch

from lmkit.interfaces.landmarks import Landmarks
from lmkit_interintra.padding import round_up
from lmkit_interintra.residual import ResidualGenerator


def build(pad, seed=0):
    torch.manual_seed(seed)
    return ResidualGenerator(landmarks=3, image_size=16, width=4, blocks=2, pad=pad)


def draw(generator, images):
    points = torch.linspace(-0.5, 0.5, 6).reshape(1, 3, 2).expand(len(images), 3, 2)
    return generator(images, Landmarks(points), Landmarks(points))


@pytest.fixture
def images():
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_rounding_up():
    assert [round_up(channels, 8) for channels in (1, 8, 9, 266)] == [8, 8, 16, 272]


@pytest.mark.parametrize("training", [True, False])
def test_the_function_is_the_same(images, training):
    plain, padded = (build(pad).train(training) for pad in (1, 8))
    assert padded.blocks[0].layers[0].weight.shape == (24, 24, 3, 3)
    assert torch.allclose(draw(plain, images), draw(padded, images), atol=1e-6)


def test_training_goes_the_same_way_and_leaves_the_padding_at_zero(images):
    states = []
    for pad in (1, 8):
        generator = build(pad)
        optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, weight_decay=5e-4)
        for _ in range(3):
            optimizer.zero_grad()
            (draw(generator, images) - 0.3).square().mean().backward()
            optimizer.step()
        states.append(generator.state_dict())
    inside = dict(generator.named_parameters())
    for name, value in states[1].items():
        if name in inside and value.dim():
            left = inside[name].detach().clone()
            left[tuple(slice(size) for size in value.shape)] = 0
            assert not left.any(), name
    assert inside["blocks.0.layers.0.weight"].shape != states[1]["blocks.0.layers.0.weight"].shape
    # Adam's first steps are signs of gradients, and those of tiny ones are down to rounding.
    for name, value in states[0].items():
        apart = (states[1][name].float() - value.float()).norm()
        assert apart <= 0.02 * value.float().norm() + 1e-3, name


def test_weights_are_interchangeable(images):
    plain, padded = build(1, seed=2).eval(), build(8, seed=3).eval()
    assert {n: v.shape for n, v in plain.state_dict().items()} == {
        n: v.shape for n, v in padded.state_dict().items()
    }
    padded.load_state_dict(plain.state_dict())
    assert torch.allclose(draw(plain, images), draw(padded, images), atol=1e-6)
    back = build(1, seed=4).eval()
    back.load_state_dict(padded.state_dict())
    assert torch.equal(draw(plain, images), draw(back, images))


def test_weights_of_another_size_are_still_refused():
    other = ResidualGenerator(landmarks=4, image_size=16, width=4, blocks=2).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        build(8).load_state_dict(other)
