"""The one place where normalised coordinates and pixels are converted into each other."""

import torch
from torch import Tensor


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
    return torch.stack((((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2), dim=-1)


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
    return torch.stack(((x * 2 + 1) / width - 1, (y * 2 + 1) / height - 1), dim=-1)


def pixel_centres(
    size: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the normalised coordinates of the ``size`` pixel centres of a row, (size,)."""
    return (torch.arange(size, device=device, dtype=dtype) * 2 + 1) / size - 1


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
