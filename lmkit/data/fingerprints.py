"""Fingerprints of images: finds the same image twice, also where it was saved or resized.

Two are taken of the decoded pixels: a digest, equal where every pixel is, and 256 bits that change
little where an image is compressed again, resized or made brighter: the difference hash, whether
each cell of a 17x16 grey thumbnail is darker than the one to its right.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEAR = 24
"""Up to this many of the 256 bits may differ in images that are called nearly the same. On
photographs of faces in fixed windows, copies of half the quality or size differ in up to about
that many, and the most similar images of different people in 38 and more."""

_GRID = 16
_CHUNK = 2048  # images compared with as many others at a time


class Fingerprint(NamedTuple):
    """What is kept of an image."""

    digest: bytes
    """16 bytes; equal where size and all pixels are."""
    bits: bytes
    """32 bytes: the difference hash."""


class Pair(NamedTuple):
    """Two images that are alike, by their places in the lists compared."""

    first: int
    second: int
    distance: int
    """How many of the 256 bits differ."""


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Take an image's fingerprint.

    Args:
        image: (H, W, 3), RGB.
    """
    digest = blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    small = Image.fromarray(image).convert("L").resize((_GRID + 1, _GRID), Image.Resampling.BOX)
    cells = np.asarray(small, np.int16)
    return Fingerprint(digest.digest(), np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes())


def near_pairs(
    first: Sequence[bytes], second: Sequence[bytes], limit: int = NEAR
) -> Iterator[Pair]:
    """Yield the pairs of one image of each list whose bits differ in few places.

    Takes a fixed amount of memory beside the lists, and time in proportion to the product of their
    lengths: a second for some tens of millions of pairs.

    Args:
        first: Difference hashes.
        second: Difference hashes.
        limit: The most bits that may differ.
    """
    for above in range(0, len(first), _CHUNK):
        signs = _signs(first[above : above + _CHUNK])
        for left in range(0, len(second), _CHUNK):
            # Of signs, the product is the number of equal bits less that of different ones.
            same = signs @ _signs(second[left : left + _CHUNK]).T
            bits = signs.shape[1]
            for row, column in np.argwhere(same >= bits - 2 * limit).tolist():
                yield Pair(above + row, left + column, (bits - int(same[row, column])) // 2)


def _signs(hashes: Sequence[bytes]) -> NDArray[np.float32]:
    """Return (N, 256) of -1 and 1; float32 counts so few exactly."""
    rows = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1)
    return np.unpackbits(rows, axis=1).astype(np.float32) * 2 - 1
