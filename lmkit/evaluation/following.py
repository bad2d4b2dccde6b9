"""Whether landmarks follow what is on an image, told without annotation.

Three questions, each answered by changing an image in a way that is known, or by looking at it:

- The image is warped: do landmarks go where the warp takes them?
- Its surroundings are exchanged for those of another image: do landmarks stay?
- What is around a landmark is cut out: can one tell from it which landmark it is?

Every function takes and returns plain tensors; who finds landmarks is the caller's business.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lmkit.geometry.warps import AffineWarp, ThinPlateWarp, Warp
from lmkit.seeds import derive

ROTATION, SCALE, SHIFT = 10.0, 0.1, 0.1
"""Standard deviations of the angle in degrees, of the factor, and of the shift in [-1, 1]."""
CONTROL, BEND = 4, 0.08
"""Control points a side of the spline, and by how much each is moved, in [-1, 1]: the image is bent
within itself, so that a landmark that follows the image as a whole does not follow all of it."""
CLIPPED = 2.0
"""Standard deviations at which every draw ends; no warp folds."""

KEPT, EXCHANGED = 0.7, 0.85
"""In [-1, 1], up to where from the centre an image is kept, and from where on it is another's; in
between both are mixed. It takes the object to be in the middle of the square."""

PATCH, PATCH_PIXELS = 0.36, 9
"""Half the side of what is cut out around a landmark, in [-1, 1], and how many pixels a side it is
sampled at."""
_FLAT = 0.02
"""Standard deviation, of grey values in [0, 1], below which a patch counts as flat."""


def known_warps(keys: Sequence[str], seed: int) -> Warp:
    """Return a warp of each image: turned, scaled, shifted, and bent within itself.

    Args:
        keys: The images' names; with the seed they decide the warps.
        seed: Decides the warps.
    """
    drawn = torch.from_numpy(
        np.stack(
            [
                np.random.default_rng(derive(seed, "following", key)).normal(
                    size=4 + 2 * CONTROL**2
                )
                for key in keys
            ]
        )
    )
    drawn = drawn.float().clamp(-CLIPPED, CLIPPED)
    angle, scale, shift = drawn[:, 0], drawn[:, 1], drawn[:, 2:4]
    whole = AffineWarp.from_similarity(
        (ROTATION * angle).deg2rad(), 1 + SCALE * scale, SHIFT * shift
    )
    side = torch.linspace(-1, 1, CONTROL)
    y, x = torch.meshgrid(side, side, indexing="ij")
    control = torch.stack((x, y), dim=-1).reshape(1, -1, 2)
    bent = control + BEND * drawn[:, 4:].reshape(len(keys), -1, 2)
    return ThinPlateWarp(whole.sample_points(bent))


def warped(squares: Tensor, warp: Warp) -> Tensor:
    """Return squares (N, 3, S, S), uint8, after a warp of each."""
    return warp(squares.float()).round().clamp(0, 255).to(torch.uint8)


def missed_and_moved(before: Tensor, after: Tensor, warp: Warp) -> tuple[Tensor, Tensor]:
    """Return how far landmarks are from where a warp takes them, and how far that is from before.

    A landmark that stays where it is misses by all that it should have moved.

    Args:
        before: (N, K, 2), landmarks of the images, in [-1, 1].
        after: (N, K, 2), those of the warped images.
        warp: The N warps.

    Returns:
        Twice (N, K), in percent of the side; NaN where the warp takes a landmark off the image.
    """
    expected = warp.map_points(before)
    inside = expected.abs().amax(dim=-1) <= 1
    missed, moved = (50 * (expected - other).norm(dim=-1) for other in (after, before))
    return missed.where(inside, torch.nan), moved.where(inside, torch.nan)


def exchange_surroundings(squares: Tensor) -> Tensor:
    """Return squares whose margins are those of other squares.

    Args:
        squares: (N, 3, S, S), uint8; two or more.

    Returns:
        The same in the middle; (N, 3, S, S), uint8.
    """
    count, side = len(squares), squares.shape[-1]
    places = ((torch.arange(side) + 0.5) / side * 2 - 1).abs()
    from_centre = torch.maximum(places[:, None], places[None, :])
    other = ((from_centre - KEPT) / (EXCHANGED - KEPT)).clamp(0, 1)
    others = squares.roll(max(1, count // 3), 0)
    return (squares.float() * (1 - other) + others.float() * other).round().to(torch.uint8)


def moved_by_surroundings(before: Tensor, after: Tensor) -> float | None:
    """Return how far landmarks move when the surroundings are exchanged, in percent of the side.

    Args:
        before: (N, K, 2), landmarks of the images, in [-1, 1].
        after: (N, K, 2), those of the images with other surroundings.

    Returns:
        The mean over the landmarks that are where the image is kept; None if none is.
    """
    within = before.abs().amax(dim=-1) < KEPT
    if not within.any():
        return None
    return float(50 * (after - before).norm(dim=-1)[within].mean())


def recognised(squares: Tensor, points: Tensor) -> float | None:
    """Return how often one can tell which landmark it is from what is around it.

    What is around each landmark on the even images is averaged; that of each on the odd images is
    held against the averages, and is recognised where the nearest one is its own. By chance that
    is one of K. Points that never move are recognised too where the object is always in the same
    place: it says whether landmarks look alike from image to image, not that they follow.

    Args:
        squares: (N, 3, S, S), uint8.
        points: (N, K, 2), landmarks in [-1, 1].

    Returns:
        The share of landmarks of odd images that are recognised; None for fewer than two images.
    """
    if len(squares) < 2:
        return None
    patches = _patches(squares, points)
    mean = functional.normalize(patches[::2].mean(dim=0), dim=-1)
    alike = torch.einsum("nkp,jp->nkj", patches[1::2], mean)
    own = torch.arange(points.shape[1])
    return float((alike.argmax(dim=-1) == own).float().mean())


def _patches(squares: Tensor, points: Tensor) -> Tensor:
    """Return what is around landmarks, without its brightness and contrast, (N, K, pixels)."""
    grey = squares.float().mean(dim=1, keepdim=True) / 255
    side = torch.linspace(-PATCH, PATCH, PATCH_PIXELS)
    y, x = torch.meshgrid(side, side, indexing="ij")
    grid = points[:, :, None] + torch.stack((x, y), dim=-1).reshape(1, 1, -1, 2)
    cut = functional.grid_sample(grey, grid, align_corners=False, padding_mode="border")[:, 0]
    cut = cut - cut.mean(dim=-1, keepdim=True)
    patches: Tensor = cut / (cut.norm(dim=-1, keepdim=True) + _FLAT * PATCH_PIXELS)
    return patches
