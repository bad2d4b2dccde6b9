"""The dataset: images, and whatever is known about them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "fit", "test"]
"""The uses of an image: unsupervised training, fitting the regressor that turns landmarks into
annotated points, and testing."""


class Annotation(NamedTuple):
    """What is known about one image."""

    points: NDArray[np.float32] | None = None
    """(P, 2), (x, y) in pixels of the image, the centre of its first pixel at (0, 0); (NaN, NaN)
    for a point that is not known. None if no point is known."""
    subject: str | None = None
    """Who or what is on the image; images of one subject share it."""


class Dataset(ABC):
    """Images by number. Reading one must not depend on which were read before.

    The constructor reads lists and looks for files; images are read one at a time, possibly in
    other processes.
    """

    component_kind: ClassVar[str] = "dataset"
    """What an option of this type takes: a component of this kind."""

    argument: ClassVar[str | None] = "path"
    """The option that ``--data NAME:VALUE`` fills; None if there is nothing to fill."""
    in_memory: bool = False
    """Whether reading an image costs so little that worker processes would only slow it down."""
    point_names: tuple[str, ...] = ()
    """The names of the annotated points; empty if nothing is annotated."""
    normalising_pair: tuple[int, int] = (0, 1)
    """The two points whose distance normalises errors: the eyes' centres or outer corners."""
    notes: Sequence[str] = ()
    """What the user should hear about the data, a sentence each: parts left out, columns unused."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def key(self, index: int) -> str:
        """Return the name of an image: unique, and the same in every process and on every day."""

    @abstractmethod
    def image(self, index: int) -> NDArray[np.uint8]:
        """Read an image.

        Returns:
            (H, W, 3), RGB.

        Raises:
            OSError: If the image cannot be read. It is then skipped and counted.
        """

    def annotation(self, index: int) -> Annotation:
        """Return what is known about an image, without reading it."""
        return Annotation()

    def subject(self, index: int) -> str | None:
        """Return the subject of an image's annotation; to be overridden where that is costly.

        It is asked of every image before training where pairs are of one subject.
        """
        return self.annotation(index).subject

    def group(self, index: int) -> str | None:
        """Name what must not be divided between training and testing: by default the subject.

        Images of one group are held out together where [indices][lmkit.api.Dataset.indices] does
        not name parts. None if the image stands alone.
        """
        return self.subject(index)

    def indices(self, part: Part) -> Sequence[int] | None:
        """Return the images of a part, or None if the data does not say.

        An image may train and fit; test images must do neither. Where this returns none for
        every part, lmkit holds out a share of the groups (or images) for testing.
        """
        return None

    def stamp(self, index: int) -> str | None:
        """Return a text that changes whenever the image may have, without reading it; or None.

        For a file that is its size, its number (inode) and its times of change (mtime, ctime).
        Images of data that says none are never kept in a cache, where a change would go unnoticed.
        """
        return None

    def problem(self, index: int) -> str | None:
        """Say what is wrong with an image's file, quickly and without decoding it; or None."""
        return None
