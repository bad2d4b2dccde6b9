"""Every image is looked at once, whoever reads it."""

from typing import Any

import numpy as np
import pytest

from lmkit.data.crops import AnnotatedBox
from lmkit.data.fingerprints import fingerprint
from lmkit.data.framing import Framer
from lmkit.data.scan import scan
from lmkit.interfaces.dataset import Annotation, Dataset


class Few(Dataset):
    """Forty images of all sizes; some damaged, some with points outside or not known."""

    point_names = ("a", "b")

    def __len__(self) -> int:
        return 40

    def key(self, index: int) -> str:
        return f"{index}"

    def image(self, index: int) -> Any:
        if index in (7, 33):
            raise OSError(f"{index} is damaged")
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (20 + index, 30, 3), dtype=np.uint8)

    def annotation(self, index: int) -> Annotation:
        if index % 4 == 0:
            return Annotation()
        points = np.array([[4, 5], [24, 15]], np.float32)
        points[0] = {1: (4, 5), 2: (-0.6, 5), 3: (np.nan, np.nan)}[index % 4]
        points[1] += {1: 0, 2: 5.6, 3: 0}[index % 4]
        return Annotation(points)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_kept_of_each(workers: int) -> None:
    told: list[tuple[int, int]] = []
    looks, problems = scan(
        Few(), range(39), Framer(16), workers=workers, progress=lambda *done: told.append(done)
    )
    assert problems == {7: "7 is damaged", 33: "33 is damaged"}
    assert looks.keys() | problems.keys() == set(range(39))
    assert told == [(16, 39), (32, 39), (39, 39)]
    for index, look in looks.items():
        assert (look.width, look.height) == (30, 20 + index)
        assert look.shown == min(30, 20 + index)
        assert look.mark == fingerprint(Few().image(index))
        # Both are beyond the outer edge of the border pixels by a tenth of one.
        assert look.outside == (2 if index % 4 == 2 else 0)


def test_what_a_crop_shows_and_refuses() -> None:
    looks, problems = scan(Few(), [0, 1, 5, 9], Framer(16, crop=AnnotatedBox(0)))
    assert not problems
    assert [looks[index].shown for index in (0, 1, 5)] == [20, 20, 20]
    wide = scan(Few(), [1], Framer(16, crop=AnnotatedBox(30)))
    assert list(wide[1].values()) == ["its annotated points lie far outside of it"]
