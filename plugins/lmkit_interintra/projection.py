"""A convolution that keeps pretrained filters and learns how to mix them."""

import torch
from torch import Tensor, nn
from torch.nn import functional


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
            weight = (self.projection @ self.weight.flatten(1)).view(self.weight.shape)
        return functional.conv2d(x, weight, padding=1)
