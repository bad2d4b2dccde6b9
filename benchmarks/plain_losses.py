"""The losses that lmkit ships, computed the straightforward way where they take a shorter one."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lmkit.interfaces.loss import Loss
from lmkit.interfaces.step import Step
from lmkit_interintra.perceptual import Perceptual
from lmkit_interintra.vgg import Features, relu_places, untrained

_whole: WeakKeyDictionary[Perceptual, nn.Module] = WeakKeyDictionary()
"""The whole networks, each beside the loss whose weights it has."""


def plain_loss(loss: Loss, step: Step) -> Tensor:
    """Return the same value and gradients as a loss, computed the straightforward way.

    Args:
        loss: Any loss; one that is not known here is taken as it is.
        step: The record of one step.
    """
    value: Tensor = perceptual_loss(loss, step) if isinstance(loss, Perceptual) else loss(step)
    return value


def perceptual_loss(loss: Perceptual, step: Step) -> Tensor:
    """Compare as released code does: the whole network, in a graph with its own gradients."""
    vgg = _whole_network(loss, step.ends.device)
    wanted = [found.detach() for found in loss.features(vgg, step.targets)]
    return loss.compare(loss.features(vgg, step.ends), wanted, len(step.routes))


def _whole_network(loss: Perceptual, device: torch.device) -> nn.Module:
    """Return a loss's network to its last layer, with trainable weights.

    Those beyond the last layer in use are random, since nothing reads what comes out there.
    """
    if loss not in _whole:
        whole = untrained(loss.network, max(relu_places(loss.network).values()))
        vgg = Features(whole, loss.places)
        vgg.load_state_dict(dict(loss.vgg.named_buffers()), strict=False)
        _whole[loss] = vgg.to(device)
    return _whole[loss]
