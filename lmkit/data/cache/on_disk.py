"""Images that were read and framed once, and lie as squares in one file.

The file is a plain ``.npy`` of uint8, (N, 3, S, S), beside a table of a row an image. It is read
by position: pages of a mapped file would count as memory of the process, and a mapped file that is
cut short ends it.

Each image is verified as it is read, which costs a fiftieth of decoding it. One that proves
damaged is read from the data instead and put right in the file, so that batches are the same bit
for bit, with the cache, without it and with a broken one.
"""

import os
import weakref
import zlib
from contextlib import suppress
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmkit.data.cache.cached import CachedDataset
from lmkit.data.framing import Framer, Framing
from lmkit.interfaces.dataset import Dataset

ROW = np.dtype(
    [
        ("stamp", "<u8"),
        ("checksum", "<u4"),
        ("readable", "?"),
        ("scale", "<f8", (2,)),
        ("offset", "<f8", (2,)),
    ]
)
"""What the table says of an image: what it was made from, the CRC-32 of its pixels, whether it
could be read, and how it was framed."""


CacheDamage = Literal["damaged", "changed"]
"""What is wrong with a cached image."""


class DiskCachedDataset(CachedDataset):
    """Data with a cache of its images; only those that could be read are in it.

    Args:
        source: The data.
        framer: How the cached images were framed.
        table: (N,), of [ROW][lmkit.data.cache.on_disk.ROW].
        path: The file of images.
        start: Where the first of them begins in it, in bytes.
        fresh: Whether all are known to be as the data has them now. Otherwise each is compared
            when it is read.
    """

    def __init__(
        self,
        source: Dataset,
        framer: Framer,
        table: NDArray[Any],
        path: Path,
        start: int,
        *,
        fresh: bool,
    ) -> None:
        super().__init__(source)
        self.framer = framer
        self.path = path
        self._table = table
        self._start = start
        self._fresh = fresh
        self._file: tuple[int, FileIO] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind: other processes open their own."""
        return {**self.__dict__, "_file": None}

    def framed(self, index: int, framer: Framer) -> tuple[Tensor, Framing] | None:
        """See [CachedDataset][lmkit.data.cache.cached.CachedDataset]."""
        row = self._table[index]
        # One that could not be read is tried again: it may have been for want of a network.
        if framer != self.framer or not row["readable"]:
            return super().framed(index, framer)
        if not self._fresh and stamp_of(self.source, index, framer) != row["stamp"]:
            return super().framed(index, framer)
        square = torch.empty((3, framer.size, framer.size), dtype=torch.uint8)
        pixels = square.numpy()
        if not self._read(index, pixels) or zlib.crc32(pixels.data) != row["checksum"]:
            return self._restored(index, framer)
        scale, offset = row["scale"].tolist(), row["offset"].tolist()
        return square, Framing(framer.size, (scale[0], scale[1]), (offset[0], offset[1]))

    def compare(self, index: int) -> CacheDamage | None:
        """Compare a cached image with the data, whatever its stamp says.

        Args:
            index: The image.

        Returns:
            What is wrong: the cached pixels are ``damaged``, or the image has ``changed`` since;
            or None. One that could neither be read then nor now is as it was.
        """
        row = self._table[index]
        pixels = np.empty((3, self.framer.size, self.framer.size), np.uint8)
        if row["readable"] and (
            not self._read(index, pixels) or zlib.crc32(pixels.data) != row["checksum"]
        ):
            return "damaged"
        try:
            square, _ = self.framer(self.source.image(index), self.source.annotation(index))
        except OSError:
            return "changed" if row["readable"] else None
        now = zlib.crc32(np.ascontiguousarray(square.transpose(2, 0, 1)).data)
        return None if row["readable"] and now == row["checksum"] else "changed"

    def _position(self, index: int) -> int:
        return self._start + index * 3 * self.framer.size**2

    def _read(self, index: int, pixels: NDArray[np.uint8]) -> bool:
        """Read an image's bytes, and return whether there were enough."""
        try:
            # Forked processes would share the position of one open file.
            if self._file is None or self._file[0] != os.getpid():
                self._file = (os.getpid(), FileIO(self.path))
                weakref.finalize(self, self._file[1].close)
            file = self._file[1]
            file.seek(self._position(index))
            return file.readinto(pixels.data) == pixels.nbytes
        except OSError:
            return False

    def _restored(self, index: int, framer: Framer) -> tuple[Tensor, Framing]:
        """Read an image from the data, and put it where it should have been."""
        square, framing = framer(self.source.image(index), self.source.annotation(index))
        pixels = np.ascontiguousarray(square.transpose(2, 0, 1))
        if zlib.crc32(pixels.data) == self._table[index]["checksum"]:
            # Whoever may not write here can still go on.
            with suppress(OSError):
                with self.path.open("r+b") as file:
                    file.seek(self._position(index))
                    file.write(pixels.data)
                with repairs_of(self.path).open("a", encoding="utf-8") as log:
                    log.write(f"{index}\n")
        return torch.from_numpy(pixels), framing


def repairs_of(path: Path) -> Path:
    """Return the file that lists the images that were put right, beside the file of images."""
    return path.with_suffix(".repairs")


def stamp_of(dataset: Dataset, index: int, framer: Framer) -> int:
    """Return a number that changes, as good as surely, when the framed image may.

    Args:
        dataset: The data, which gives stamps.
        index: The image.
        framer: How it becomes a square.
    """
    words = [dataset.key(index).encode("utf-8", "surrogateescape")]
    words.append(str(dataset.stamp(index)).encode("utf-8", "surrogateescape"))
    if framer.crop is not None and framer.crop.from_annotation:
        points = dataset.annotation(index).points
        words.append(b"" if points is None else np.asarray(points, np.float64).tobytes())
    digest = blake2b(digest_size=8)
    for word in words:
        digest.update(len(word).to_bytes(8, "big") + word)
    return int.from_bytes(digest.digest(), "big")
