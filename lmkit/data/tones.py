"""Grey of more than eight bits, whole numbers or floating point, as eight bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WHOLE = (255, 4095, 65535)
_FLOATING = (1, 255, 65535)
_ROWS = 256
_OVERSHOOT = 1.25
"""How far resampling and its like go beyond a range, by floating point alone."""

_BITS, _WHITE_IS_ZERO, _BRIGHTEST = 258, 262, 281
"""Tags of TIFF: bits a sample, the meaning of zero, the largest value that may occur."""


def is_deep(image: Image.Image) -> bool:
    """Return whether an image is grey of more than eight bits, which PIL would only cut off."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Return grey of more than eight bits as eight bits.

    Black is 0, and white is what the file says: a TIFF of 9 to 15 bits, or with the tag
    ``MaxSampleValue``, does. Where it says nothing, white is the least of these that holds the
    brightest pixel: 255, 4095 (the twelve bits of most cameras and microscopes) or 65535 for whole
    numbers; 1, 255 or 65535 for floating point, and -1 is black where there are negative values and
    none beyond 1. It is a function of the file alone.

    Args:
        image: Of mode ``I``, ``F`` or ``I;16`` and the like.

    Returns:
        (H, W).

    Raises:
        OSError: If no range is known that holds its values.
    """
    values = np.asarray(image)
    floating = image.mode == "F"
    tags: Any = getattr(image, "tag_v2", {})
    black, white = _range(*_extremes(values), floating, tags)
    turned = tags.get(_WHITE_IS_ZERO) == 0
    shades = np.empty(values.shape, np.uint8)
    # Some rows at a time: at once, this would take more memory than all that comes before.
    for start in range(0, len(values), _ROWS):
        rows = _known(values[start : start + _ROWS]).astype(np.float64)
        scaled = (rows - black) * (255 / (white - black))
        scaled = 255 - scaled if turned else scaled
        shades[start : start + _ROWS] = np.clip(np.rint(scaled), 0, 255)
    return shades


def _known(values: NDArray[Any]) -> NDArray[Any]:
    """Return values with 0 for what is not a number, by which measurements mark what they lack."""
    return np.where(np.isfinite(values), values, 0)


def _extremes(values: NDArray[Any]) -> tuple[float, float]:
    """Return the least and the largest value, and 0 if that is beyond both."""
    low = high = 0.0
    for start in range(0, len(values), _ROWS):
        rows = _known(values[start : start + _ROWS])
        low, high = min(low, float(rows.min())), max(high, float(rows.max()))
    return low, high


def _range(low: float, high: float, floating: bool, tags: Any) -> tuple[float, float]:
    """Return what is black and what is white, of values between these."""
    declared = _declared(tags)
    if not floating and declared >= max(high, 1) and low >= 0:
        return 0, declared
    slack = _OVERSHOOT if floating else 1
    if floating and -slack <= low < 1 - slack and high <= slack:
        return -1, 1
    for white in _FLOATING if floating else _WHOLE:
        if high <= white * slack and low >= (1 - slack) * min(white, max(high, 1)):
            return 0, white
    raise OSError(
        f"its grey values go from {low:.6g} to {high:.6g}, and what is white among them is not "
        "known; save it with 8 or 16 bits, or as floating point from 0 to 1"
    )


def _declared(tags: Any) -> float:
    """Return the white that a TIFF names; 0 if it does not."""
    try:
        bits, brightest = tags.get(_BITS, (0,))[0], tags.get(_BRIGHTEST, (0,))
    except (TypeError, IndexError):
        return 0
    if 8 < bits < 16:
        return float(2**bits - 1)
    brightest = brightest[0] if isinstance(brightest, tuple) else brightest
    # Some programs write the brightest value that does occur; ranges are full numbers of bits.
    usual = {2**each - 1 for each in range(8, 17)}
    return float(brightest) if brightest in usual else 0
