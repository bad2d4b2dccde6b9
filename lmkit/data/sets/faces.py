"""Generated faces as a dataset: exact landmarks, nothing to download."""

import numpy as np
from numpy.typing import NDArray

from lmkit.data.rendering import render_faces
from lmkit.data.rendering.scene import POINT_NAMES
from lmkit.errors import LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part

_CHUNK = 16  # faces drawn together: one costs nearly as much, and reading is mostly at random
_TEST_SHARE = 0.125
_SMALLEST = 16  # pixels; below that no face can be made out


class Faces(Dataset):
    """Generated faces, each a function of its number; drawn when first asked for, and then kept.

    The last eighth of the subjects tests; the others train and fit.

    Args:
        image_size: Side of the images, in pixels.
        count: The number of faces.
        images_per_subject: How many of them show the same person.
        seed: Another seed gives other faces.

    Raises:
        LmkitError: If a number is out of range.
    """

    argument = None
    in_memory = True
    point_names = POINT_NAMES

    def __init__(
        self, *, image_size: int, count: int = 4000, images_per_subject: int = 2, seed: int = 0
    ) -> None:
        _need(image_size >= _SMALLEST, f"faces of {image_size} pixels", f"{_SMALLEST} or more")
        _need(images_per_subject >= 1, f"{images_per_subject} images a subject", "1 or more")
        # One subject is for testing, and never for training.
        least = images_per_subject + 1
        _need(count >= least, f"{count} faces, {images_per_subject} a subject", f"{least} or more")
        _need(seed >= 0, f"faces from seed {seed}", "0 or more")
        self._size = image_size
        self._count = count
        self._each = images_per_subject
        self._seed = seed
        subjects = -(-count // images_per_subject)
        training_subjects = subjects - max(1, round(subjects * _TEST_SHARE))
        self._first_test = training_subjects * images_per_subject
        self._drawn: dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]] = {}

    def __len__(self) -> int:
        return self._count

    def key(self, index: int) -> str:
        """Return what the face is drawn from: seed, subject and which of its images.

        So the name is that of the image, whatever the number of faces or of images a subject.
        """
        return f"face-{self._seed}-{index // self._each:06d}-{index % self._each}"

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        image: NDArray[np.uint8] = self._chunk(index)[0][index % _CHUNK]
        return image

    def annotation(self, index: int) -> Annotation:
        """Return where the five points were drawn, and who the face is."""
        points = self._chunk(index)[1][index % _CHUNK]
        return Annotation(points=points, subject=self.subject(index))

    def subject(self, index: int) -> str:
        """See [Dataset][lmkit.api.Dataset]; without drawing the face."""
        return str(index // self._each)

    def indices(self, part: Part) -> range:
        """See [Dataset][lmkit.api.Dataset]."""
        if part == "test":
            return range(self._first_test, self._count)
        return range(self._first_test)

    def _chunk(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        number = index // _CHUNK
        if number not in self._drawn:
            which = range(number * _CHUNK, min((number + 1) * _CHUNK, self._count))
            subjects = [face // self._each for face in which]
            images = [face % self._each for face in which]
            drawn = render_faces(subjects, images, seed=self._seed, size=self._size)
            for array in drawn:
                array.flags.writeable = False
            self._drawn[number] = drawn
        return self._drawn[number]


def _need(condition: bool, given: str, wanted: str) -> None:
    if not condition:
        raise LmkitError(f"Generated data cannot be {given}.", remedy=f"Give {wanted}.")
