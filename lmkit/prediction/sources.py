"""Where the images come from whose landmarks are found: files, a dataset, what Python code holds.

Another kind of source, such as the frames of a video, is one more class here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmkit.data.conversion import ImageLike, to_array
from lmkit.data.framing import Framer, Framing
from lmkit.data.image_files import load_image
from lmkit.data.loading import read_framed
from lmkit.interfaces.dataset import Dataset

ImageSize = tuple[int, int]
"""Width and height, in pixels."""


class Source(ABC):
    """Images in order, each with a name that tells it apart.

    Iterating yields an item for each image: whatever [image][lmkit.prediction.sources.Source.image]
    needs to read it, small enough to be sent to the processes that read.
    """

    in_memory: bool = False
    """Whether reading an image costs so little, or is bound so much to this process, that others
    would not help."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield an item for each image."""

    @abstractmethod
    def name(self, item: Any) -> str:
        """Return the name of an image."""

    @abstractmethod
    def image(self, item: Any) -> NDArray[np.uint8]:
        """Read an image; in any process, unless ``in_memory``.

        Returns:
            (H, W, 3), RGB.

        Raises:
            OSError: If it cannot be read. It is then left out and named.
        """

    def framed(self, item: Any, framer: Framer) -> tuple[Tensor, Framing, ImageSize | None]:
        """Read an image and frame it; nothing is annotated.

        Args:
            item: The image.
            framer: How it becomes a square.

        Returns:
            (3, S, S), RGB, uint8; how it was framed; and the size of the image, None if that is
            not known.

        Raises:
            OSError: If it cannot be read, or not be cropped by the framer's rule.
        """
        image = self.image(item)
        square, framing = framer.without_annotation()(image)
        chw = torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))
        return chw, framing, (image.shape[1], image.shape[0])

    def count(self) -> int | None:
        """Return the number of images; None if only their end will tell."""
        return len(self) if isinstance(self, Sized) else None


class ImageFiles(Source):
    """Image files.

    Args:
        files: Names and paths: an [Album][lmkit.prediction.album.Album] of any size, or a list.
    """

    def __init__(self, files: Sequence[tuple[str, Path]]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        return (self._files[number] for number in range(len(self._files)))

    def name(self, item: tuple[str, Path]) -> str:
        """See [Source][lmkit.prediction.sources.Source]."""
        return item[0]

    def image(self, item: tuple[str, Path]) -> NDArray[np.uint8]:
        """See [Source][lmkit.prediction.sources.Source]."""
        return load_image(item[1])


class DatasetImages(Source):
    """Images of a dataset, by their keys.

    Args:
        dataset: The dataset.
        indices: Which of its images, in order; all of them if not given.
        annotated: Whether annotation may be looked at to crop the images, as in training. Then
            they are also taken from a cached dataset, where they lie framed.
    """

    def __init__(
        self, dataset: Dataset, indices: Sequence[int] | None = None, *, annotated: bool = False
    ) -> None:
        self.in_memory = dataset.in_memory
        self._dataset = dataset
        self._indices = range(len(dataset)) if indices is None else indices
        self._annotated = annotated

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def name(self, item: int) -> str:
        """See [Source][lmkit.prediction.sources.Source]."""
        return self._dataset.key(item)

    def image(self, item: int) -> NDArray[np.uint8]:
        """See [Source][lmkit.prediction.sources.Source]."""
        return self._dataset.image(item)

    def framed(self, item: int, framer: Framer) -> tuple[Tensor, Framing, ImageSize | None]:
        """See [Source][lmkit.prediction.sources.Source]."""
        if not self._annotated:
            return super().framed(item, framer)
        # A cached dataset does not know how large the image was.
        return *read_framed(self._dataset, item, framer), None


class GivenImages(Source):
    """Images as Python code holds them, named by their paths or by their numbers from 0.

    Args:
        images: Of any accepted form; they are taken as they are needed.
    """

    in_memory = True

    def __init__(self, images: Iterable[ImageLike]) -> None:
        self._images = images

    def __iter__(self) -> Iterator[tuple[str, ImageLike]]:
        for number, image in enumerate(self._images):
            yield str(image) if isinstance(image, (str, Path)) else str(number), image

    def name(self, item: tuple[str, ImageLike]) -> str:
        """See [Source][lmkit.prediction.sources.Source]."""
        return item[0]

    def image(self, item: tuple[str, ImageLike]) -> NDArray[np.uint8]:
        """See [Source][lmkit.prediction.sources.Source]; LmkitError if it is no image."""
        return to_array(item[1])


def as_source(images: "Source | Dataset | Iterable[ImageLike]") -> Source:
    """Return the source that images of any form are."""
    if isinstance(images, Source):
        return images
    return DatasetImages(images) if isinstance(images, Dataset) else GivenImages(images)
