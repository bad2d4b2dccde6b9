"""The pixel loss of the paper."""

from torch import Tensor
from torch.nn import functional

from lmkit.api import Loss, Step


class MeanSquaredError(Loss):
    """Mean squared difference of pixels, summed over the routes (Li et al. 2020, equation (5))."""

    def forward(self, step: Step) -> Tensor:
        """Compare the end of every route with the real image.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: for each route the mean over batch, channels and pixels; their sum.
        """
        # All routes have equally many images, so the sum of means is the mean times their number.
        return functional.mse_loss(step.ends, step.targets) * len(step.routes)
