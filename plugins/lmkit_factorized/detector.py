"""The method's detector: a plain network without a bottleneck."""

from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import HeatmapDetector, LmkitError


class _Layer(NamedTuple):
    side: int
    dilation: int


_LAYERS = (_Layer(5, 1), _Layer(5, 1), _Layer(5, 2), _Layer(3, 4), _Layer(3, 2), _Layer(1, 1))
"""Filters of the six convolutions, read off the authors' later release."""


class Factorized(HeatmapDetector):
    """The detector of Thewlis et al. 2017: six convolutions, each with BatchNorm and ReLU.

    The first is followed by a max-pooling of 2 x 2, the only loss of resolution: score maps are
    half of the image in each direction. 0.34 M parameters at K = 10; a cell sees 54 pixels. The
    sides and dilations of the filters are those of the network that the authors released later
    under the name of this line of work (SmallNet, with Thewlis et al. 2019), whose leaky ReLUs are
    plain ones here.

    Args:
        landmarks: The number of landmarks K.
        widths: Channels of the first five convolutions; the sixth has K.
        beta: Smoothness of the soft-argmax; the method takes the softmax of the scores themselves,
            which is 1.
        padding: What convolutions see beyond the edge: zeros, as in that release, or the edge
            repeated, as in the views themselves. Zeros tell each cell where in the image it is,
            and in short trainings landmarks then stay in a fixed grid whatever the image shows.

    Raises:
        LmkitError: If a width or beta is not above 0.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        widths: tuple[int, int, int, int, int] = (20, 48, 64, 80, 256),
        beta: float = 1.0,
        padding: Literal["zeros", "replicate"] = "zeros",
    ) -> None:
        super().__init__(landmarks=landmarks, beta=beta)
        if min(widths) < 1:
            raise LmkitError(
                f"detector.widths={','.join(map(str, widths))} has a layer without channels.",
                remedy="Give five whole numbers from 1; the method's are 20,48,64,80,256.",
            )
        if not 0 < beta < float("inf"):
            raise LmkitError(
                f"detector.beta={beta} is refused: the soft-argmax would not look for the maximum.",
                remedy="Give detector.beta a number above 0; the method's is 1.",
            )
        channels = (3, *widths, landmarks)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    inputs,
                    outputs,
                    layer.side,
                    padding=layer.dilation * (layer.side // 2),
                    padding_mode=padding,
                    dilation=layer.dilation,
                    bias=False,
                ),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            )
            for layer, inputs, outputs in zip(_LAYERS, channels, channels[1:], strict=False)
        )

    def score_maps(self, images: Tensor) -> Tensor:
        """Score every position.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, K, H / 2, W / 2), from 0.
        """
        first, *others = self.layers
        x: Tensor = functional.max_pool2d(first(images), 2)
        for layer in others:
            x = layer(x)
        return x
