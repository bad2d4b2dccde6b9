"""A convolution that keeps pretrained filters and learns how to mix them."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def plain_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a plain network that computes the same.

    Args:
        state: The state dict of a network with or without
            [ProjectedConv2d][lmkit_interintra.projection.ProjectedConv2d].

    Returns:
        The same names without the matrices, which are multiplied into the filters they remix.
    """
    plain = {name: value for name, value in state.items() if not name.endswith(".projection")}
    for name in state.keys() - plain.keys():
        filters = name.removesuffix("projection") + "weight"
        if filters in plain:
            plain[filters] = _remix(state[name], plain[filters])
    return plain


class ProjectedConv2d(nn.Module):
    """A 3x3 convolution without bias whose pretrained filters stay, remixed by a learned matrix.

    The effective weight is ``W @ W0``: the frozen filters W0, (out, in * 9), stacked as rows, and
    a square matrix W, (out, out), that starts as the identity and is all that trains (Sanchez and
    Tzimiropoulos 2019). W0 is a persistent buffer named like the weight of a plain
    convolution: weights of a plain network load without renaming, and a checkpoint carries them.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
    """

    weight: Tensor
    """(outputs, inputs, 3, 3), frozen."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.register_buffer("weight", plain.weight.detach().clone())
        self.projection = nn.Parameter(torch.eye(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (B, inputs, h, w).

        Returns:
            (B, outputs, h, w).
        """
        # In half precision the product would change the filters that are to be kept.
        with torch.autocast(x.device.type, enabled=False):
            weight = _remix(self.projection, self.weight)
        return functional.conv2d(x, weight, padding=1)


def _remix(matrix: Tensor, filters: Tensor) -> Tensor:
    """Multiply (out, out) with filters (out, in, 3, 3)."""
    return (matrix @ filters.flatten(1)).view(filters.shape)
