"""Which images train, fit and test."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from lmkit.data.split import Split, make_split
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset, Part

Floats = np.ndarray


class Listed(Dataset):
    """Images that exist as a list of keys only."""

    def __init__(
        self,
        keys: Sequence[str],
        subjects: Sequence[str | None] | None = None,
        parts: dict[str, list[int]] | None = None,
        points: Sequence[Floats | None] | None = None,
    ) -> None:
        self.keys, self.parts = keys, parts or {}
        self.subjects = subjects or [None] * len(keys)
        self.points = points or [None] * len(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index]

    def image(self, index: int) -> Floats:
        raise AssertionError("a split is made without reading images")

    def annotation(self, index: int) -> Annotation:
        return Annotation(self.points[index], self.subjects[index])

    def indices(self, part: Part) -> list[int] | None:
        return self.parts.get(part)


def names(count: int) -> list[str]:
    return [f"{index}.jpg" for index in range(count)]


def test_share_of_images_is_held_out() -> None:
    split = make_split(Listed(names(2000)), held_out=0.2, seed=3)
    assert sorted(split.train + split.test) == list(range(2000))
    assert abs(len(split.test) - 400) < 80
    assert not split.fit
    assert split == make_split(Listed(names(2000)), held_out=0.2, seed=3)
    assert split.test != make_split(Listed(names(2000)), held_out=0.2, seed=4).test


def test_added_images_move_no_others() -> None:
    few, many = Listed(names(300)), Listed([*reversed(names(900))])
    held = [
        {data.key(i) for i in make_split(data, held_out=0.2, seed=0).test} for data in (few, many)
    ]
    assert held[0] == {key for key in held[1] if key in few.keys}


def test_subjects_are_held_out_whole() -> None:
    subjects = [str(index % 50) if index % 7 else None for index in range(400)]
    split = make_split(Listed(names(400), subjects), held_out=0.2, seed=0)
    known = [{subjects[i] for i in part} - {None} for part in (split.train, split.test)]
    assert known[0]
    assert known[1]
    assert not known[0] & known[1]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("subjects", [None, ["a", "b"], ["a", "a"]])
@pytest.mark.parametrize("held_out", [0.01, 0.99])
def test_of_two_images_one_trains_and_one_tests(
    seed: int, subjects: list[str | None] | None, held_out: float
) -> None:
    split = make_split(Listed(names(2), subjects), held_out=held_out, seed=seed)
    assert len(split.train) == len(split.test) == 1


def test_nothing_is_held_out_if_not_wanted_or_if_there_is_one_image() -> None:
    assert make_split(Listed(names(9)), held_out=0, seed=0).test == []
    assert make_split(Listed(names(1)), held_out=0.5, seed=0) == Split([0], [], [])


def test_training_images_with_a_known_point_fit() -> None:
    known, unknown = np.zeros((2, 2), np.float32), np.full((2, 2), np.nan, np.float32)
    partly = np.array([[1, 2], [np.nan, np.nan]], np.float32)
    points = [known, None, unknown, partly]
    split = make_split(Listed(names(4), points=points), held_out=0, seed=0)
    assert split.fit == [0, 3]


def test_parts_of_the_data_are_used_and_completed() -> None:
    known = [np.zeros((1, 2), np.float32)] * 6
    whole = {"train": [0, 1, 2], "fit": [1, 5], "test": [3]}
    assert make_split(Listed(names(6), parts=whole), held_out=0.5, seed=0) == Split(
        [0, 1, 2], [1, 5], [3]
    )
    tests_only = Listed(names(6), parts={"test": [3, 4]}, points=known)
    assert make_split(tests_only, held_out=0.5, seed=0) == Split([0, 1, 2, 5], [0, 1, 2, 5], [3, 4])
    train_only = Listed(names(6), parts={"train": [3, 4]}, points=known)
    assert make_split(train_only, held_out=0.5, seed=0) == Split([3, 4], [3, 4], [])


def test_unreadable_images_are_in_no_part() -> None:
    parts = {"train": [0, 1], "fit": [0, 1], "test": [2, 3]}
    split = make_split(Listed(names(4), parts=parts), held_out=0.1, seed=0, unreadable={1, 2})
    assert split == Split([0], [0], [3])
    split = make_split(Listed(names(9)), held_out=0.3, seed=0, unreadable=[4, 5])
    assert sorted(split.train + split.test) == [0, 1, 2, 3, 6, 7, 8]


@pytest.mark.parametrize(("part", "word"), [("train", "training"), ("fit", "fitting")])
def test_test_images_in_other_parts_are_refused(part: str, word: str) -> None:
    parts = {"train": [0], "fit": [0], "test": [1, 2, 3, 4, 5]} | {part: [0, 1, 2, 3, 4]}
    with pytest.raises(LmkitError, match=f"4 images would be used for {word} and") as caught:
        make_split(Listed(names(6), parts=parts), held_out=0.1, seed=0)
    assert "1.jpg, 2.jpg, 3.jpg and 1 more" in caught.value.problem
    assert caught.value.code == ExitCode.DATA


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(LmkitError, match="No image is left to train on: 2 in all") as caught:
        make_split(Listed(names(2), parts={"test": [0, 1]}), held_out=0.1, seed=0)
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(LmkitError, match="cannot be held out"):
        make_split(Listed(names(9)), held_out=share, seed=0)


@pytest.mark.parametrize("fit", [[0, 1], [0, 1, 4]])
def test_record_is_found_again_in_reordered_data(fit: list[int]) -> None:
    split = Split([0, 1, 4], fit, [2])
    record = json.loads(json.dumps(split.to_json(Listed(names(5)))))
    turned = Split.from_json(record, Listed([*reversed(names(5)), "new.jpg"]))
    assert turned == Split([4, 3, 0], [4 - index for index in fit], [2])


def test_record_of_images_that_are_gone_is_refused() -> None:
    record = Split([0, 1, 2, 3], [], [4]).to_json(Listed(names(5)))
    with pytest.raises(LmkitError, match="4 images of the run's split are no longer") as caught:
        Split.from_json(record, Listed(["0.jpg"]))
    assert "1.jpg, 2.jpg, 3.jpg and 1 more" in caught.value.problem
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    "content", [None, [], {"train": []}, {"train": [1], "fit": [], "test": []}]
)
def test_damaged_record_is_refused(content: object) -> None:
    with pytest.raises(LmkitError, match="record of its split") as caught:
        Split.from_json(content, Listed(names(1)))
    assert caught.value.code == ExitCode.RUN
