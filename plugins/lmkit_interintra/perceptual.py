"""The paper's perceptual loss: images compared by what a frozen VGG network sees in them."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import LmkitError, Loss, Step, freeze, load_weights
from lmkit_interintra.vgg import Features, Network, downloaded, relu_places, untrained, with_weights

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

_INPUT = "input"
"""The name of the images themselves among the layers."""

_MOMENTUM = 0.99
"""How much of a layer's running mean stays at a step; read off the code of Jakab et al. 2018."""

_TINY = 1e-12


class Perceptual(Loss):
    """Mean squared difference of VGG features, summed over layers and routes.

    Li et al. 2020, equation (6), after Johnson et al. 2016. The network is cut after its last
    layer in use, never trains and is not saved with the run.

    Balanced, each layer's difference is divided by a running mean of its own value, so that all
    layers count alike however large their features are (Jakab et al. 2018, section 3.2, after Chen
    and Koltun 2017). With the difference ``d`` of a step, ``m`` becomes ``0.99 m + 0.01 d``, and
    the layer adds ``d / m``, in which m is a constant. The running means start with each layer's
    first value, and are saved with the run.

    Args:
        network: The network; the paper uses VGG-16, its Table III VGG-19 too.
        layers: The layers that are compared, by name: relu2_2 is the ReLU after the second
            convolution of the second stage. "input" is the image itself.
        weights: "download" for torchvision's ImageNet weights; the path of a .safetensors or .pth
            file with torchvision's names (features.0.weight ...), which may end after the last
            layer in use; or "random".
        normalise: Whether the network sees images normalised by ImageNet's mean and standard
            deviation, as torchvision's weights expect, instead of RGB in [0, 1], as the paper's
            authors fed them. Normalised, the loss is several times larger.
        balance: "running-mean" divides each layer's difference by its running mean, "none" adds
            differences as they are.

    Raises:
        LmkitError: If a layer is not known, or the weights cannot be had or lack a layer.
    """

    mean: Tensor
    std: Tensor
    running_means: Tensor

    def __init__(
        self,
        *,
        network: Network = "vgg16",
        layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        weights: str = "download",
        normalise: bool = False,
        balance: Literal["none", "running-mean"] = "none",
    ) -> None:
        super().__init__()
        places = {_INPUT: -1, **relu_places(network)}
        if not layers or not set(layers) <= places.keys():
            unknown = [name for name in layers if name not in places]
            raise LmkitError(
                f"loss.perceptual.layers={','.join(layers)}: "
                + (f"{network} has no layer {', '.join(unknown)}." if layers else "none is named."),
                remedy=f"Its layers are {', '.join(places)}.",
            )
        self.places = {places[name] for name in layers}
        last = max(self.places)
        if weights == "random":
            vgg = untrained(network, last)
        elif weights == "download":
            vgg = with_weights(
                network, last, downloaded(network), origin=f"torchvision's download of {network}"
            )
        else:
            option = "loss.perceptual.weights"
            vgg = with_weights(
                network, last, load_weights(weights, option=option), origin=f"{option}={weights}"
            )
        self.vgg = freeze(Features(vgg, self.places))
        self.network = network
        self.normalise = normalise
        for name, values in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.balanced = balance == "running-mean"
        if self.balanced:
            # One a layer, in their order from the input on; 0 where there was no value yet.
            self.register_buffer("running_means", torch.zeros(len(self.places)))

    def forward(self, step: Step) -> Tensor:
        """Compare the end of every route with the real image.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: for each route and layer the mean over batch, channels and positions,
            balanced if so wanted; their sum.
        """
        with torch.no_grad():
            wanted = self.features(self.vgg, step.targets)
        return self.compare(self.features(self.vgg, step.ends), wanted, len(step.routes))

    def compare(self, found: list[Tensor], wanted: list[Tensor], routes: int) -> Tensor:
        """Return the loss of features, balanced if so wanted.

        Args:
            found: Of the ends of routes, one (R B, C, H, W) a layer.
            wanted: The same of the real images.
            routes: How many there are, R.
        """
        pairs = zip(found, wanted, strict=True)
        # Squares of large features overflow half precision, which autocast may have chosen.
        losses = torch.stack(
            [functional.mse_loss(end.float(), real.float()) for end, real in pairs]
        )
        if self.balanced:
            losses = losses / self._update_means(losses.detach()).clamp_min(_TINY)
        # All routes have equally many images, so the sum of means is the mean times their number.
        return losses.sum() * routes

    def _update_means(self, losses: Tensor) -> Tensor:
        """Return what to divide each layer's difference by; in training, after this step's."""
        means = self.running_means
        if not self.training:
            return torch.where(means > 0, means, losses)
        means = torch.where(means > 0, _MOMENTUM * means + (1 - _MOMENTUM) * losses, losses)
        # A step that is skipped because it is not finite leaves no trace here either.
        means = means.where(losses.isfinite(), self.running_means)
        self.running_means.copy_(means)
        return means

    def features(self, vgg: nn.Module, images: Tensor) -> list[Tensor]:
        """Return what a network sees in images, layer by layer.

        Args:
            vgg: The network.
            images: (N, 3, H, W), RGB in [0, 1].
        """
        x = (images - self.mean) / self.std if self.normalise else images
        found = [images] if -1 in self.places else []
        found += vgg(x)
        return found
