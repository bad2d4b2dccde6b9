"""The convolutional part of VGG networks (Simonyan and Zisserman 2015), and its weights."""

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor, nn

from lmkit.api import ExitCode, LmkitError

Network = Literal["vgg16", "vgg19"]

_DEPTHS: dict[Network, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


def relu_places(network: Network) -> dict[str, int]:
    """Return every ReLU, by name, with its number among torchvision's ``features``, in order."""
    places: dict[str, int] = {}
    number = 0
    for stage, depth in enumerate(_DEPTHS[network], start=1):
        for n in range(1, depth + 1):
            places[f"relu{stage}_{n}"] = number + 1
            number += 2
        number += 1
    return places


class Features(nn.Module):
    """What comes out of some layers.

    Args:
        layers: All layers, numbered from 0.
        places: The numbers of those wanted; any below 0 are left out.
    """

    def __init__(self, layers: nn.Sequential, places: Collection[int]) -> None:
        super().__init__()
        self.layers = layers
        self.places = frozenset(places)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the wanted outputs, (B, C, h, w) each, in the order of the layers."""
        found = []
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if place in self.places:
                found.append(x)
        return found


def build(network: Network, last: int) -> nn.Sequential:
    """Return the layers up to the one numbered ``last``, numbered as torchvision's ``features``."""
    layers: list[nn.Module] = []
    inputs = 3
    for depth, width in zip(_DEPTHS[network], _WIDTHS, strict=True):
        for _ in range(depth):
            # A ReLU may overwrite its input, which nothing else reads; layers are tapped after it.
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers[: last + 1])


def untrained(network: Network, last: int) -> nn.Sequential:
    """Return the layers with random weights, as a VGG that is to be trained starts out."""
    layers = build(network, last)
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return layers


def with_weights(
    network: Network, last: int, given: dict[str, Tensor], *, origin: str
) -> nn.Sequential:
    """Return the layers with given weights.

    Args:
        network: Which one.
        last: The number of the last layer.
        given: Weights under torchvision's names, ``features.0.weight`` and so on; those of later
            layers are not looked at.
        origin: Where they come from, for messages.

    Raises:
        LmkitError: If a layer's weights are missing or of another shape.
    """
    # Without memory or values of their own, the layers cost nothing until the weights arrive.
    with torch.device("meta"):
        layers = build(network, last)
    weights = {}
    for name, wanted in layers.state_dict().items():
        tensor = given.get(f"features.{name}")
        if tensor is None or tensor.shape != wanted.shape:
            number = int(name.partition(".")[0])
            reached = [relu for relu, place in relu_places(network).items() if place < number]
            fault = "has no" if tensor is None else f"has another shape {tuple(tensor.shape)} of"
            last_layer = f"{reached[-1]} is its last layer" if reached else "it has no such layer"
            raise LmkitError(
                f"{origin} {fault} features.{name}: {last_layer} as {network}.",
                remedy="Give loss.perceptual.layers that it has, or weights that have all layers "
                "with loss.perceptual.weights=FILE.",
                code=ExitCode.DATA,
            )
        weights[name] = tensor.float()
    layers.load_state_dict(weights, assign=True)
    return layers


def downloaded(network: Network) -> dict[str, Tensor]:
    """Return torchvision's ImageNet weights, downloaded once and kept in torch's cache.

    Raises:
        LmkitError: If they cannot be had.
    """
    from torchvision.models import VGG16_Weights, VGG19_Weights

    source = (VGG16_Weights if network == "vgg16" else VGG19_Weights).IMAGENET1K_V1
    try:
        weights: dict[str, Tensor] = source.get_state_dict(check_hash=True, weights_only=True)
    except Exception as error:
        raise LmkitError(
            f"The weights of {network} could not be downloaded from {source.url} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}).",
            remedy="Fetch them elsewhere and give the file with --set "
            "loss.perceptual.weights=FILE, or leave the loss 'perceptual' out.",
            code=ExitCode.DATA,
        ) from error
    return weights
