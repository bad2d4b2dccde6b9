"""Images in whatever form Python users hold them, as the arrays the rest of lmkit reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from lmkit.data.image_files import load_image, to_rgb
from lmkit.errors import ExitCode, LmkitError

ImageLike = str | Path | PIL.Image.Image | NDArray[Any] | torch.Tensor
"""A path, a PIL image, an array (H, W, 3) or (H, W) of uint8, or a tensor (3, H, W) of uint8 or of
floats in [0, 1]."""


def is_single(images: Any) -> bool:
    """Return whether this is one image, and not several."""
    if isinstance(images, (np.ndarray, torch.Tensor)):
        return images.ndim < 4
    return not isinstance(images, Sequence) or isinstance(images, (str, bytes))


def to_array(image: Any) -> NDArray[np.uint8]:
    """Return an image of any accepted form as (H, W, 3), uint8.

    Args:
        image: A [ImageLike][lmkit.data.conversion.ImageLike].

    Raises:
        LmkitError: If it is none, or cannot be read.
    """
    if isinstance(image, (str, Path)):
        try:
            return load_image(Path(image))
        except OSError as error:
            raise LmkitError(
                f"{image} cannot be read: {error}.",
                remedy="Give an image file.",
                code=ExitCode.DATA,
            ) from None
    if isinstance(image, PIL.Image.Image):
        return np.asarray(to_rgb(image))
    if isinstance(image, torch.Tensor):
        array = _to_bytes(image).detach().cpu().numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise _unusable(f"{type(image).__name__} object")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        raise _unusable(f"image of shape {tuple(image.shape)} and type {image.dtype}")
    return array


def _to_bytes(image: torch.Tensor) -> torch.Tensor:
    if not image.is_floating_point():
        return image
    # Resampling overshoots a little. What lies further out was never in [0, 1], and would be cut
    # to a white or black image without a word.
    if image.numel() and not ((image >= -0.25) & (image <= 1.25)).all():
        low, high = image.min().item(), image.max().item()
        raise _unusable(f"tensor of floats from {low:.4g} to {high:.4g}")
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def _unusable(what: str) -> LmkitError:
    return LmkitError(
        f"A {what} is not an image that can be used.",
        remedy="Give an array (H, W, 3) or (H, W) of uint8, a tensor (3, H, W) of uint8 or of "
        "floats in [0, 1], a PIL image, a path, or a list of such.",
        code=ExitCode.DATA,
    )
