"""Who is whose partner."""

from typing import Any

import pytest
import torch

from lmkit.data.split import Partners, number_subjects
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset


class Named(Dataset):
    """Images of which nothing is known but the subject."""

    def __init__(self, *subjects: str | None) -> None:
        self.subjects = subjects

    def __len__(self) -> int:
        return len(self.subjects)

    def key(self, index: int) -> str:
        return f"image {index}"

    def image(self, index: int) -> Any:
        raise AssertionError("an image was read")

    def annotation(self, index: int) -> Annotation:
        return Annotation(subject=self.subjects[index])


def test_numbers_are_equal_where_the_subject_is():
    numbers = number_subjects(Named("a", None, "b", "a", None), [3, 4, 0, 1, 2])
    assert numbers is not None
    assert numbers[0] == numbers[2]
    assert len(set(numbers.tolist())) == 4
    assert number_subjects(Named(None, None), [0, 1]) is None


def test_partners_are_all_others_of_the_subject_among_those_that_train():
    data = Named("a", "b", "a", None, "a", "b", "a", "c", None)
    partners = Partners(data, [6, 1, 0, 3, 4, 7, 5, 8])
    others = {0: {4, 6}, 4: {0, 6}, 6: {0, 4}, 1: {5}, 5: {1}, 3: set(), 7: set(), 8: set()}
    for image, expected in others.items():
        for drawn in (0, 1, 5, 2**63 - 1):
            found = list(partners.of(image, drawn))
            assert len(found) == len(expected)
            assert set(found) == expected
    assert partners.alone == 3


def test_every_partner_comes_first_equally_often():
    partners = Partners(Named(*"aaaab"), range(5))
    first = [next(partners.of(2, drawn)) for drawn in range(300)]
    assert torch.tensor(first).bincount().tolist() == [100, 100, 0, 100]


@pytest.mark.parametrize(
    ("subjects", "says"),
    [
        ((None, None, None), "does not say who is on its images"),
        (("a", "b", None), "each of the 3 images to train on shows another"),
    ],
)
def test_data_without_pairs_is_refused(subjects, says):
    with pytest.raises(LmkitError, match=says) as caught:
        Partners(Named(*subjects), range(3))
    assert "loading.partner=none" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA
