"""What stands in for annotation: the landmarks' filters become the centres of all descriptors."""

from typing import ClassVar

import torch
from torch import Tensor

from lmkit.api import LmkitError, Loss, Step, View

_VIEWS: tuple[View, ...] = ("original", "deformed")

_ROUNDS = 10
"""Of making shares equal; with the usual blur, a few hundredths of a share are left after them."""


class Clusters(Loss):
    """How far pixels are from the landmark that they are assigned to, of whom all get equally many.

    Not of the paper, where annotated points train the filters of virtual points together with a
    regressor: this stands in for them. It is a clustering of all descriptors of the batch, of both
    views, around the filters: k-means on the sphere, with clusters of equal size. The loss is the
    mean over pixels of ``1 - s``, where s is the cosine of a pixel's descriptor and of the filter
    that it is assigned to. So landmarks are spread over whatever descriptors tell apart, each sits
    in the middle of its share, and none falls out of use. Assignments are an optimal transport, as
    in Caron et al. 2020 ("SwAV"), and no gradient passes through them.

    Needs a detector that returns ``features``, and as score maps their cosines with K filters, such
    as ``dve``.

    Args:
        blur: How far assignments are from certain, in standard deviations of the scores; below
            0.1 their shares are no longer equal.

    Raises:
        LmkitError: If blur is not above 0.
    """

    needs_routes: ClassVar[bool] = False

    def __init__(self, *, blur: float = 0.2) -> None:
        super().__init__()
        if not 0 < blur < float("inf"):
            raise LmkitError(
                f"loss.dve-clusters.blur={blur} is not above 0.",
                remedy="Give it a positive number; 0.2 is the default.",
            )
        self.blur = blur

    def forward(self, step: Step) -> Tensor:
        """Measure how far pixels are from their landmarks.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar from 0 to 2: the mean over all pixels of both views.

        Raises:
            LmkitError: If the detector returns no score maps, or no features that they are of.
        """
        maps = [_cosines(step, view) for view in _VIEWS]
        scores = torch.cat(maps).transpose(0, 1).flatten(1)
        shares = equal_shares(scores.detach(), self.blur)
        return 1 - (shares * scores).sum(dim=0).mean()


def equal_shares(scores: Tensor, blur: float) -> Tensor:
    """Assign pixels to landmarks by their scores, to each landmark equally many.

    Entropic optimal transport, by Sinkhorn's iterations on logarithms (Cuturi 2013). Neither a
    constant added to all scores of a landmark or of a pixel nor a positive factor changes the
    result.

    Args:
        scores: (K, N), of each landmark for each pixel.
        blur: How far assignments are from certain, in standard deviations of the scores.

    Returns:
        (K, N), from 0; the sum over landmarks is 1 for each pixel, and the sum over pixels close to
        N / K for each landmark; the smaller the blur, the less close.
    """
    centred = scores - scores.mean(dim=0) - scores.mean(dim=1, keepdim=True)
    shares = scores / (blur * centred.std(correction=0).clamp_min(1e-12))
    for _ in range(_ROUNDS):
        shares = shares.log_softmax(dim=1)
        shares = shares.log_softmax(dim=0)
    return shares.exp()


def _cosines(step: Step, view: View) -> Tensor:
    found = step.landmarks[view]
    if found.score_maps is None or found.features is None:
        raise LmkitError(
            "The loss 'dve-clusters' reads cosines of descriptors and filters, and this detector "
            "returns none.",
            remedy="Choose a detector that returns features and compares them with filters, such "
            "as dve, or leave the loss out.",
        )
    return found.score_maps.to(torch.promote_types(found.score_maps.dtype, torch.float32))
