"""The pose encoder: a plain encoder, and points as expectations of marginals."""

import torch
from torch import Tensor

from lmkit.api import Detector, Landmarks, mean_position
from lmkit_imm.encoder import Encoder, check, convolution


class MarginalDetector(Detector):
    """The landmark detection network of Jakab et al. 2018, with soft-argmax axis by axis.

    An [encoder][lmkit_imm.encoder.Encoder] and a 1x1 convolution to one score map a landmark. With
    four blocks, images of 128 pixels have score maps of 16x16; the paper has one block less for
    each halving of the image, so that score maps stay 16x16.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of 2^(blocks - 1).
        width: Channels of the first block; each further block has twice as many.
        blocks: How many blocks there are; each but the first halves the score maps.
        beta: Smoothness of the soft-argmax; the larger, the closer to the maximum. The paper's
            softmax has none, which is 1.

    Raises:
        LmkitError: If an option or the size of the images is refused.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        width: int = 32,
        blocks: int = 4,
        beta: float = 1.0,
    ) -> None:
        super().__init__(landmarks=landmarks)
        check("detector", image_size, width, blocks, beta=beta)
        self.beta = beta
        self.encoder = Encoder(width, blocks)
        self.head = convolution(self.encoder.channels, landmarks, 1)

    def forward(self, images: Tensor) -> Landmarks:
        """See [Detector][lmkit.api.Detector]."""
        scores: Tensor = self.head(self.encoder(images))
        maps = marginal_softmax(scores, self.beta)
        return Landmarks(mean_position(maps), score_maps=scores, probability_maps=maps)


def marginal_softmax(scores: Tensor, beta: float = 1.0) -> Tensor:
    """Return a softmax of each axis over means along the other, and the product of the two.

    The paper writes a softmax over all cells (Jakab et al. 2018, section 3.1); its authors ran
    this, which is read off their code: ``x = sum_j x_j softmax_j(beta mean_i S_ij)`` and y alike
    are the mean of the product. Always computed in float32 or wider, also under autocast.

    Args:
        scores: (B, K, h, w), any real numbers.
        beta: The smoothness; the larger, the closer to the positions of the maxima.

    Returns:
        (B, K, h, w), from 0; each map sums to 1.
    """
    scores = scores if scores.dtype == torch.float64 else scores.float()
    columns = (beta * scores.mean(dim=2)).softmax(dim=2)
    rows = (beta * scores.mean(dim=3)).softmax(dim=2)
    return rows.unsqueeze(3) * columns.unsqueeze(2)
