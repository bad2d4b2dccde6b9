"""Who is on which image: a number for each subject, and the other images of one's subject."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset


def number_subjects(dataset: Dataset, indices: Sequence[int]) -> NDArray[np.int64] | None:
    """Number the subjects by a hash, which needs no list of all of them.

    Args:
        dataset: The data.
        indices: N of its images.

    Returns:
        (N,), from 0, equal where the subject is; None if no subject is known. An image whose
        subject is not known is taken for a subject of its own.
    """
    numbers = np.empty(len(indices), np.int64)
    known = False
    for place, index in enumerate(indices):
        name = dataset.subject(index)
        known = known or name is not None
        word = f"key {dataset.key(index)}" if name is None else f"subject {name}"
        digest = blake2b(word.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        numbers[place] = int.from_bytes(digest, "big") >> 1
    return numbers if known else None


class Partners:
    """The other images of each image's subject; a few numbers an image, whatever the data.

    Args:
        dataset: The data.
        indices: The images that are each other's partners.

    Raises:
        LmkitError: If no subject is known, or none has two images.
    """

    alone: int
    """How many images have no partner."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        numbers = number_subjects(dataset, indices)
        if numbers is None:
            raise _refusal(
                "the data does not say who is on its images",
                "Give data that does, such as csv:FILE with a column subject, or a folder with "
                "--set data.subjects=folder",
            )
        order = numbers.argsort(kind="stable")
        _, starts, group, counts = np.unique(
            numbers[order], return_index=True, return_inverse=True, return_counts=True
        )
        self.alone = int((counts == 1).sum())
        if self.alone == len(indices):
            raise _refusal(
                f"each of the {len(indices)} images to train on shows another",
                "Give data with several images of a subject",
            )
        # Side by side, the images of a subject, and for each where its subject's begin and how
        # many they are.
        self._images = np.asarray(indices, np.int64)[order]
        self._starts, self._counts = starts[group], counts[group]
        self._places = np.empty(int(self._images.max()) + 1, np.int64)
        self._places[self._images] = np.arange(len(self._images))

    def of(self, image: int, drawn: int) -> Iterator[int]:
        """Yield the other images of an image's subject, each once.

        Args:
            image: Its number.
            drawn: Any number from 0; which of them comes first.
        """
        place = int(self._places[image])
        start, count = int(self._starts[place]), int(self._counts[place])
        for turn in range(count - 1):
            further = 1 + (drawn + turn) % (count - 1)
            yield int(self._images[start + (place - start + further) % count])


def _refusal(why: str, remedy: str) -> LmkitError:
    return LmkitError(
        f"loading.partner=subject makes pairs of two images of one subject, and {why}.",
        remedy=f"{remedy}; or make pairs of one image: --set loading.partner=none.",
        code=ExitCode.DATA,
    )
