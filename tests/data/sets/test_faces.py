"""Generated faces as a dataset."""

import numpy as np
import pytest

from lmkit.data.rendering import render_faces
from lmkit.data.sets.faces import Faces
from lmkit.data.split import make_split
from lmkit.errors import LmkitError


def test_images_and_points_are_those_rendered() -> None:
    data = Faces(image_size=32, count=21, images_per_subject=3, seed=5)
    images, points = render_faces([6, 6, 6], [0, 1, 2], seed=5, size=32)
    for image in range(3):
        np.testing.assert_array_equal(data.image(18 + image), images[image])
        found = data.annotation(18 + image)
        np.testing.assert_array_equal(found.points, points[image])
        assert found.subject == "6"
    assert len(data.point_names) == points.shape[1]


def test_the_name_is_that_of_the_image_whatever_the_numbers() -> None:
    some, more, others = (
        Faces(image_size=16, count=count, images_per_subject=each, seed=seed)
        for count, each, seed in ((12, 2, 0), (31, 3, 0), (12, 2, 1))
    )
    named = {more.key(index): more.image(index) for index in range(31)}
    assert len(named) == 31
    for index in range(12):
        np.testing.assert_array_equal(some.image(index), named[some.key(index)])
    assert {others.key(index) for index in range(12)}.isdisjoint(named)


def test_reading_does_not_depend_on_what_was_read() -> None:
    one, other = (Faces(image_size=16, count=40) for _ in range(2))
    forwards = [one.image(index) for index in range(40)]
    backwards = [other.image(index) for index in reversed(range(40))]
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_kept_images_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Faces(image_size=16, count=4).image(0)[:] = 0


def test_nothing_is_drawn_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def render(subjects: list[int], images: list[int], *, seed: int, size: int) -> object:
        drawn.extend(subjects)
        return render_faces(subjects, images, seed=seed, size=size)

    monkeypatch.setattr("lmkit.data.sets.faces.render_faces", render)
    data = Faces(image_size=16, count=100_000, images_per_subject=1)
    make_split(data, held_out=0.1, seed=0)
    assert not drawn
    assert data.subject(99_999) == data.group(99_999) == "99999"
    assert not drawn
    data.image(99_999)
    data.annotation(99_998)
    assert 99_999 in drawn
    assert len(drawn) < 100


@pytest.mark.parametrize(("count", "each"), [(4000, 2), (2, 1), (3, 2), (11, 4)])
def test_test_subjects_are_strangers(count: int, each: int) -> None:
    data = Faces(image_size=16, count=count, images_per_subject=each)
    train, fit, test = (list(data.indices(part)) for part in ("train", "fit", "test"))  # type: ignore[arg-type]
    assert train == fit
    assert train
    assert test
    assert sorted(train + test) == list(range(count))
    assert not {index // each for index in train} & {index // each for index in test}
    if count == 4000:
        assert len(test) == 500


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        ({"image_size": 15}, "faces of 15 pixels", "16 or more"),
        ({"count": 2}, "2 faces, 2 a subject", "3 or more"),
        ({"images_per_subject": 0}, "0 images a subject", "1 or more"),
        ({"seed": -1}, "faces from seed -1", "0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(
    options: dict[str, int], problem: str, remedy: str
) -> None:
    with pytest.raises(LmkitError, match=problem) as caught:
        Faces(**{"image_size": 32, **options})
    assert remedy in caught.value.remedy
