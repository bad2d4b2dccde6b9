"""The one place where normalised coordinates and pixels are converted into each other.

Everything rests on two functions for arrays and tensors alike, ``spread`` and ``normalise``, which
are told where the outer edges of an image, -1 and 1, lie. In pixels of an image of width W those
are -0.5 and W - 0.5, since the centre of the first pixel is 0.
"""

from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

Values = TypeVar("Values", NDArray[Any], Tensor)


def spread(normalised: Values, first: Any, last: Any) -> Values:
    """Convert normalised coordinates to others, in which the edges of the image lie anywhere.

    Args:
        normalised: Coordinates in [-1, 1], of any shape.
        first: Where -1 lies; a number, or what spreads to that shape.
        last: Where 1 lies.
    """
    places: Values = first + (normalised + 1) * (last - first) / 2
    return places


def normalise(places: Values, first: Any, last: Any) -> Values:
    """Convert coordinates in which the edges of the image lie anywhere: the inverse of ``spread``.

    Args:
        places: Coordinates, of any shape.
        first: What becomes -1.
        last: What becomes 1.
    """
    normalised: Values = (places - first) * 2 / (last - first) - 1
    return normalised


def at_least_float32(values: Tensor) -> Tensor:
    """Return the values in float32, or in float64 if they are: half precision moves points."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Convert normalised points to pixels.

    Args:
        points: (..., 2), (x, y) in [-1, 1].
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        (..., 2), (x, y) in pixels; the centre of the first pixel is (0, 0).
    """
    x, y = at_least_float32(points).unbind(dim=-1)
    # Axis by axis, since a tensor of the two sides would have to be copied to the device.
    return torch.stack((spread(x, -0.5, width - 0.5), spread(y, -0.5, height - 0.5)), dim=-1)


def from_pixels(pixels: Tensor, height: int, width: int) -> Tensor:
    """Convert pixels to normalised points; the inverse of [to_pixels][lmkit.api.to_pixels].

    Args:
        pixels: (..., 2), (x, y) in pixels; the centre of the first pixel is (0, 0).
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        (..., 2), (x, y) in [-1, 1].
    """
    x, y = at_least_float32(pixels).unbind(dim=-1)
    return torch.stack((normalise(x, -0.5, width - 0.5), normalise(y, -0.5, height - 0.5)), dim=-1)


def pixel_centres(
    size: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the normalised coordinates of the ``size`` pixel centres of a row, (size,)."""
    return normalise(torch.arange(size, device=device, dtype=dtype), -0.5, size - 0.5)


def pixel_grid(
    height: int,
    width: int,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the normalised coordinates of every pixel centre, (height, width, 2)."""
    x = pixel_centres(width, device=device, dtype=dtype)
    y = pixel_centres(height, device=device, dtype=dtype)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
