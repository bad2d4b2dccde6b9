"""A perceptual loss without weights: images are compared by their edges, at several scales."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from lmkit.api import Loss, Step
from lmkit_interintra.checks import require

_WAVELENGTH = 4.0
"""Of the waves, in pixels of each scale: the shortest that filters of seven pixels show well."""

_TINY = 1e-6


class Gabor(Loss):
    """Mean squared difference of the energies of Gabor filters, summed over scales and routes.

    Each colour is filtered by an even and an odd Gabor function of each orientation. Their energy
    (the root of the sum of their squares; Adelson and Bergen 1985) says how strong an edge or line
    is, and not where exactly within half a wave or how bright its sides are. Energies are divided
    by the root of their mean square around each pixel (divisive normalisation, Heeger 1992), so
    that a faint mouth counts as much as the outline of dark hair. The same at half of the
    resolution, and so on.

    On a CPU it costs a small part of a step, and a VGG a multiple of it.

    Args:
        orientations: How many directions the filters have, evenly spaced.
        scales: At how many resolutions images are compared, each half of the one before.
        shrink: Pixels of the image for one of the finest of these, in each direction; 2 suits a
            generator that works with images of half the size, and is a quarter of the work.
        contrast: Energies much weaker than this stay weak, so that noise in flat regions is no
            edge; in shares of the brightness from black to white.

    Raises:
        LmkitError: If a number is too small.
    """

    filters: Tensor
    """(2 orientations, 1, h, w): the even ones, then the odd ones."""

    def __init__(
        self, *, orientations: int = 4, scales: int = 3, shrink: int = 1, contrast: float = 0.05
    ) -> None:
        super().__init__()
        counts = {"orientations": orientations, "scales": scales, "shrink": shrink}
        for name, count in counts.items():
            require(
                count >= 1,
                f"loss.gabor.{name}",
                count,
                why="it is less than 1",
                remedy=f"Give loss.gabor.{name} a whole number from 1.",
            )
        require(
            contrast > 0,
            "loss.gabor.contrast",
            contrast,
            why="flat regions would be divided by nothing",
            remedy="Give loss.gabor.contrast a number above 0, such as 0.05.",
        )
        self.scales = scales
        self.shrink = shrink
        self.contrast = contrast
        self.register_buffer("filters", gabor_filters(orientations), persistent=False)

    def forward(self, step: Step) -> Tensor:
        """Compare the end of every route with the real image.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: for each route and scale the mean over batch, colours, orientations
            and pixels; their sum.
        """
        found, wanted = step.ends, step.targets
        total = found.new_zeros(())
        for scale in range(self.scales):
            coarser = 2 if scale else self.shrink
            if coarser > 1:
                found, wanted = (
                    functional.avg_pool2d(images, coarser, ceil_mode=True)
                    for images in (found, wanted)
                )
            total = total + functional.mse_loss(self.energies(found), self.energies(wanted))
        # All routes have equally many images, so the sum of means is the mean times their number.
        return total * len(step.routes)

    def energies(self, images: Tensor) -> Tensor:
        """Return the normalised energies of images at their own resolution.

        Args:
            images: (N, 3, H, W), RGB in [0, 1].

        Returns:
            (N, 3, orientations, H, W), from 0, float32; each colour is by itself.
        """
        colours = images.shape[1]
        margin = self.filters.shape[-1] // 2
        padded = functional.pad(images.float(), (margin,) * 4, mode="replicate")
        with torch.autocast(images.device.type, enabled=False):
            # As groups, which are twice as quick to go back through as single channels.
            waves = functional.conv2d(padded, self.filters.repeat(colours, 1, 1, 1), groups=colours)
        squares = waves.unflatten(1, (colours, 2, -1)).square().sum(dim=2)
        around = functional.avg_pool2d(squares.sum(dim=2), 3, stride=1, padding=1)[:, :, None]
        # The root has no slope at 0.
        answer: Tensor = (squares + _TINY).sqrt() / (around + self.contrast**2).sqrt()
        return answer


def gabor_filters(orientations: int) -> Tensor:
    """Return even and odd Gabor functions, which answer to a flat image with nothing.

    Args:
        orientations: How many directions they have, from 0 to below 180 degrees.

    Returns:
        (2 orientations, 1, 7, 7), the even ones first; the absolute values of each sum to 1.
    """
    line = torch.arange(-3, 4, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    window = torch.exp(-(x**2 + y**2) / (2 * (0.4 * _WAVELENGTH) ** 2))
    angles = [math.pi * number / orientations for number in range(orientations)]
    filters = []
    for phase in (0.0, math.pi / 2):
        for angle in angles:
            along = x * math.cos(angle) + y * math.sin(angle)
            wave = window * torch.cos(2 * math.pi / _WAVELENGTH * along - phase)
            wave = wave - window * wave.sum() / window.sum()
            filters.append(wave / wave.abs().sum())
    return torch.stack(filters)[:, None].float()
