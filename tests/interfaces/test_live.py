"""A network as losses see it: called without leaving a trace, read, and copied."""

import torch
from torch import Tensor, nn

from lmkit.api import HeatmapDetector
from lmkit.interfaces.live import LiveNetwork, follow


class Normed(HeatmapDetector):
    """A detector with running statistics."""

    def __init__(self) -> None:
        super().__init__(landmarks=2)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))

    def score_maps(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_call_passes_gradients_and_leaves_running_statistics_alone() -> None:
    network, images = Normed().train(), torch.rand(4, 3, 9, 9)
    before = state(network)
    points = LiveNetwork(network)(images).points
    assert same(before, state(network))
    # It sees the statistics of the batch, as the step's own call does.
    assert torch.equal(points, network(images).points)
    assert not same(before, state(network))
    points.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    before = state(network)
    network(images)
    assert not same(before, state(network)), "it follows its own images again"


def test_a_call_with_other_weights_leaves_its_own_alone() -> None:
    network, images = Normed().train(), torch.rand(4, 3, 9, 9)
    live = LiveNetwork(network)
    other = {name: value + 1 for name, value in live.weights().items() if value.is_floating_point()}
    before = state(network)
    changed = live(images, weights=other).points
    assert not torch.allclose(changed, live(images).points)
    assert same(before, state(network))
    assert not any(value.requires_grad for value in live.weights().values())


def test_a_copy_stays_is_saved_and_follows_when_it_is_told_to() -> None:
    network = Normed().train()
    live = LiveNetwork(network)
    copied = live.copy().train()
    assert not copied.training
    assert not list(copied.parameters())
    assert copied.state_dict().keys() == network.state_dict().keys()
    network(torch.rand(4, 3, 9, 9))
    with torch.no_grad():
        network.layers[0].weight.add_(1)  # type: ignore[operator, union-attr]
    before = state(copied)
    follow(copied, live, 0.25)
    for name, value in copied.state_dict().items():
        own, wanted = before[name], network.state_dict()[name]
        wanted = own.lerp(wanted, 0.25) if own.is_floating_point() else wanted
        assert torch.allclose(value, wanted), name
    follow(copied, live, 1.0)
    assert same(copied.state_dict(), state(network))
