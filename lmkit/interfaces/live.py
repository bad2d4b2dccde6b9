"""A network of the run as losses see it: to be called and read, not to be changed."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lmkit.interfaces.weights import keep_still


class LiveNetwork:
    """The detector or the generator of a run, as it is at this step.

    Gradients pass through a call to the network's weights, as through the step's own calls. What a
    call would leave behind in running statistics is left out: they follow the step's own images.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        # What lmkit bench puts in the place of a network is none, and holds it.
        inner = network if isinstance(network, nn.Module) else network._network
        self._network: nn.Module = inner

    def __call__(self, *given: Any, weights: Mapping[str, Tensor] | None = None) -> Any:
        """Call the network.

        Args:
            given: What it takes: images (B, 3, H, W), RGB in [0, 1], of a detector; images, source
                and target of a generator.
            weights: Taken in place of its own, by their names; those that are not there stay.

        Returns:
            What it returns: [Landmarks][lmkit.api.Landmarks] of a detector.
        """
        with _statistics_kept(self._network):
            if weights is None:
                return self._network(*given)
            return functional_call(self._network, dict(weights), given)

    def weights(self) -> dict[str, Tensor]:
        """Return its parameters and buffers by name, detached: no gradient, no copy."""
        return {name: value.detach() for name, value in self._network.state_dict().items()}

    def copy(self) -> nn.Module:
        """Return a copy that stays as it is: it never trains, and is in eval mode for good.

        Kept by a loss, it is saved with the run as part of the loss, unlike a network that was
        [frozen][lmkit.api.freeze].
        """
        return keep_still(copy.deepcopy(self._network))


def follow(copied: nn.Module, live: LiveNetwork, share: float) -> None:
    """Move the weights of a copy towards those of its network: an exponential moving average.

    Args:
        copied: From [LiveNetwork.copy][lmkit.api.LiveNetwork.copy]; changed in place.
        live: The network.
        share: How far, from 0 (not at all) to 1 (all the way).
    """
    wanted = live.weights()
    with torch.no_grad():
        for name, own in copied.state_dict().items():
            if own.is_floating_point():
                own.lerp_(wanted[name].to(own.dtype), share)
            else:
                own.copy_(wanted[name])


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let no BatchNorm that trains follow what it sees."""
    following = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    for module in following:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in following:
            module.track_running_stats = True
