"""The paper's perceptual loss: pictures compared by what a frozen VGG network sees in them."""

import torch
from torch import Tensor
from torch.nn import functional

from lmkit.api import LmkitError, Loss, Step, freeze, load_weights
from lmkit_interintra.vgg import Network, downloaded, relu_places, untrained, with_weights

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Perceptual(Loss):
    """Mean squared difference of VGG features, summed over layers and routes.

    Li et al. 2020, equation (6), after Johnson et al. 2016. The network is cut after its last
    layer in use, never trains and is not saved with the run.

    Args:
        network: The network; the paper uses VGG-16, its Table III VGG-19 too.
        layers: The layers that are compared, by name: relu2_2 is the ReLU after the second
            convolution of the second stage.
        weights: "download" for torchvision's ImageNet weights; the path of a .safetensors or .pth
            file with torchvision's names (features.0.weight ...), which may end after the last
            layer in use; or "random".
        normalise: Whether the network sees pictures normalised by ImageNet's mean and standard
            deviation, as torchvision's weights expect, instead of RGB in [0, 1], as the paper's
            authors fed them. Normalised, the loss is several times larger.

    Raises:
        LmkitError: If a layer is not known, or the weights cannot be had or lack a layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        network: Network = "vgg16",
        layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        weights: str = "download",
        normalise: bool = False,
    ) -> None:
        super().__init__()
        places = relu_places(network)
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
        self.vgg = freeze(vgg)
        self.normalise = normalise
        for name, values in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, step: Step) -> Tensor:
        """Compare the end of every route with the real picture.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: for each route and layer the mean over batch, channels and positions;
            their sum.
        """
        with torch.no_grad():
            wanted = self._features(step.targets)
        pairs = zip(self._features(step.ends), wanted, strict=True)
        # Squares of large features overflow half precision, which autocast may have chosen.
        losses = [functional.mse_loss(found.float(), real.float()) for found, real in pairs]
        # All routes have equally many pictures, so the sum of means is the mean times their number.
        return torch.stack(losses).sum() * len(step.routes)

    def _features(self, images: Tensor) -> list[Tensor]:
        x = (images - self.mean) / self.std if self.normalise else images
        found = []
        for place, layer in enumerate(self.vgg.children()):
            x = layer(x)
            if place in self.places:
                found.append(x)
        return found
