"""Data whose images are kept as squares already: in a cache on the disk, or on the device.

What is kept stands in for reading and framing alone: every word about the images is the data's
own, and an image that is not kept is read as if nothing were.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lmkit.data.framing import Framer, Framing
from lmkit.interfaces.dataset import Annotation, Dataset, Part


class CachedDataset(Dataset):
    """Data that keeps squares of its images.

    Args:
        source: The data itself.
    """

    def __init__(self, source: Dataset) -> None:
        self.source = source
        self.in_memory = source.in_memory
        self.point_names = source.point_names
        self.normalising_pair = source.normalising_pair
        self.notes = source.notes

    def framed(self, index: int, framer: Framer) -> tuple[Tensor, Framing] | None:
        """Return an image as a framer makes it, if it is kept as that.

        Args:
            index: The image.
            framer: The rule by which it is to become a square.

        Returns:
            (3, S, S), RGB, uint8, and how it was framed; or None.

        Raises:
            OSError: If it is known that the image cannot be read.
        """
        return self.source.framed(index, framer) if isinstance(self.source, CachedDataset) else None

    def __len__(self) -> int:
        return len(self.source)

    def key(self, index: int) -> str:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.key(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.image(index)

    def annotation(self, index: int) -> Annotation:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.annotation(index)

    def subject(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.subject(index)

    def group(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.group(index)

    def indices(self, part: Part) -> Sequence[int] | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.indices(part)

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.problem(index)

    def stamp(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self.source.stamp(index)
