"""A dataset of a plugin, held to its contract: what it breaks is said with its name."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmkit.interfaces.dataset import Annotation, Dataset, Part
from lmkit.runtime.blame import blame, expect, in_words

T = TypeVar("T")


class GuardedDataset(Dataset):
    """A dataset that answers as its contract says, or is named with what it did instead.

    Args:
        source: The dataset.
        name: What to call it, with its package.

    Raises:
        LmkitError: If what it says of itself is not as it should be.
    """

    def __init__(self, source: Dataset, name: str) -> None:
        self.source, self._name = source, name
        with blame(name, source):
            self.in_memory = bool(source.in_memory)
            self.point_names = _names(source.point_names, "point_names")
            self.notes = _names(source.notes, "notes")
            first, second = source.normalising_pair
            self.normalising_pair = (int(first), int(second))
            count = len(source)
            self._count = count

    def _ask(self, ask: Callable[[], T], check: Callable[[Any], None]) -> T:
        with blame(self._name, self.source):
            answer = ask()
            check(answer)
            return answer

    def __len__(self) -> int:
        return self._count

    def key(self, index: int) -> str:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._ask(
            lambda: self.source.key(index), lambda key: expect(key, str, "text", "key")
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""

        def read() -> NDArray[np.uint8] | OSError:
            try:
                return self.source.image(index)
            except OSError as error:  # It cannot be read, as may happen to any image.
                return error

        found = self._ask(read, _check_image)
        if isinstance(found, OSError):
            raise found
        return found

    def annotation(self, index: int) -> Annotation:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._ask(lambda: self.source.annotation(index), self._check_annotation)

    def subject(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if type(self.source).subject is Dataset.subject:
            return super().subject(index)  # by way of the annotation, which is checked
        return self._ask(lambda: self.source.subject(index), _text_or_none("subject"))

    def group(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        if type(self.source).group is Dataset.group:
            return super().group(index)
        return self._ask(lambda: self.source.group(index), _text_or_none("group"))

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._ask(lambda: self.source.problem(index), _text_or_none("problem"))

    def stamp(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._ask(lambda: self.source.stamp(index), _text_or_none("stamp"))

    def indices(self, part: Part) -> Sequence[int] | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return self._ask(lambda: self._numbers(part), lambda _: None)

    def _numbers(self, part: Part) -> list[int] | None:
        found = self.source.indices(part)
        if found is None:
            return None
        numbers = [int(number) for number in found]
        beyond = next((each for each in numbers if not 0 <= each < self._count), None)
        if beyond is not None:
            raise ValueError(
                f"indices('{part}') returned image {beyond}, and there are {self._count}, "
                "counted from 0"
            )
        return numbers

    def _check_annotation(self, annotation: Any) -> None:
        expect(annotation, Annotation, "lmkit.api.Annotation", "annotation")
        points, wanted = annotation.points, (len(self.point_names), 2)
        if points is None:
            return
        if not isinstance(points, np.ndarray) or points.shape != wanted:
            raise TypeError(
                f"annotation() returned points as {in_words(points)} instead of an array of shape "
                f"{wanted}, a row for each of point_names"
            )


def _check_image(image: Any) -> None:
    if isinstance(image, OSError):
        return
    right = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not right or image.shape[2] != 3 or image.size == 0:
        kind = f", {image.dtype}," if isinstance(image, np.ndarray) else ""
        raise TypeError(
            f"image() returned {in_words(image)}{kind} instead of a NumPy array (H, W, 3) of uint8"
        )


def _text_or_none(method: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if value is not None:
            expect(value, str, "text or None", method)

    return check


def _names(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{name} is {in_words(value)} instead of a tuple of texts")
    return tuple(value)
