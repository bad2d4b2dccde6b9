"""Who is on which picture: a number for each subject, and the other pictures of one's subject."""

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
        indices: N of its pictures.

    Returns:
        (N,), from 0, equal where the subject is; none if no subject is known. A picture whose
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
    """The other pictures of each picture's subject; a few numbers a picture, whatever the data.

    Args:
        dataset: The data.
        indices: The pictures that are each other's partners.

    Raises:
        LmkitError: If no subject is known, or none has two pictures.
    """

    alone: int
    """How many pictures have no partner."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        numbers = number_subjects(dataset, indices)
        if numbers is None:
            raise _refusal(
                "the data does not say who is on its pictures",
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
                f"each of the {len(indices)} pictures to train on shows another",
                "Give data with several pictures of a subject",
            )
        # Side by side, the pictures of a subject, and for each where its subject's begin and how
        # many they are.
        self._pictures = np.asarray(indices, np.int64)[order]
        self._starts, self._counts = starts[group], counts[group]
        self._places = np.empty(int(self._pictures.max()) + 1, np.int64)
        self._places[self._pictures] = np.arange(len(self._pictures))

    def of(self, picture: int, drawn: int) -> Iterator[int]:
        """Yield the other pictures of a picture's subject, each once.

        Args:
            picture: Its number.
            drawn: Any number from 0; which of them comes first.
        """
        place = int(self._places[picture])
        start, count = int(self._starts[place]), int(self._counts[place])
        for turn in range(count - 1):
            further = 1 + (drawn + turn) % (count - 1)
            yield int(self._pictures[start + (place - start + further) % count])


def _refusal(why: str, remedy: str) -> LmkitError:
    return LmkitError(
        f"loading.partner=subject makes pairs of two pictures of one subject, and {why}.",
        remedy=f"{remedy}; or make pairs of one picture: --set loading.partner=none.",
        code=ExitCode.DATA,
    )
