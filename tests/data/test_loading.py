"""Batches that are a function of (seed, step) alone."""

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from lmkit.data.framing import Framer, Framing
from lmkit.data.loading import Batch, TrainingBatches, read_images
from lmkit.data.split import Partners
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset


class Shades(Dataset):
    """Images of one shade, which is their number; some cannot be read."""

    def __init__(
        self,
        count: int,
        *,
        bad: tuple[int, ...] = (),
        subjects: bool = True,
        in_memory: bool = False,
    ) -> None:
        self.count, self.bad, self.subjects, self.in_memory = count, bad, subjects, in_memory

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        return f"shade-{index}"

    def image(self, index: int) -> Any:
        if index in self.bad:
            raise OSError(f"{index} is damaged")
        return np.full((6 + index % 3, 8, 3), index, np.uint8)

    def annotation(self, index: int) -> Annotation:
        return Annotation(subject=f"{index // 2}" if self.subjects and index != 7 else None)


def batches(data: Dataset, **changes: Any) -> TrainingBatches:
    settings: dict[str, Any] = {
        "framer": Framer(4), "batch_size": 4, "seed": 0, "start": 0, "stop": 10
    }  # fmt: skip
    indices = changes.pop("indices", range(len(data)))
    return TrainingBatches(data, indices, **{**settings, **changes})


def same(left: Batch, right: Batch) -> bool:
    assert left.subjects is not None
    assert right.subjects is not None
    return (
        torch.equal(left.images, right.images)
        and torch.equal(left.subjects, right.subjects)
        and (left.indices, left.unreadable) == (right.indices, right.unreadable)
    )


def test_batch_holds_what_its_indices_say() -> None:
    for batch in batches(Shades(22)):
        assert batch.images.shape == (4, 3, 4, 4)
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous()
        assert batch.images[:, 0, 0, 0].tolist() == batch.indices
        assert not batch.unreadable


def test_epoch_takes_every_image_once_and_drops_the_rest() -> None:
    steps = [batch.indices for batch in batches(Shades(22), stop=10)]
    first, second = ([i for indices in epoch for i in indices] for epoch in (steps[:5], steps[5:]))
    assert len(set(first)) == len(set(second)) == 20
    assert first != second
    assert len({tuple(sorted(epoch)) for epoch in (first, second)}) == 2, "others are dropped"


@pytest.mark.parametrize("workers", [0, 2])
def test_later_steps_do_not_depend_on_earlier_ones(workers: int) -> None:
    data = Shades(22, bad=(3, 11))
    long = list(batches(data))
    resumed = list(batches(data, start=5, workers=workers))
    assert len(batches(data, start=5)) == len(resumed) == 5
    assert all(same(*pair) for pair in zip(long[5:], resumed, strict=True))


def test_order_depends_on_the_seed_and_not_on_global_state() -> None:
    torch.manual_seed(1)
    one = [batch.indices for batch in batches(Shades(22))]
    state = torch.get_rng_state()
    again = [batch.indices for batch in batches(Shades(22))]
    assert torch.equal(torch.get_rng_state(), state)
    assert one == again
    assert one != [batch.indices for batch in batches(Shades(22), seed=1)]


def test_processes_share_the_batch_of_one() -> None:
    whole = [batch.indices for batch in batches(Shades(22), batch_size=6, stop=6)]
    parts = [
        [batch.indices for batch in batches(Shades(22), batch_size=2, stop=6, rank=rank, world=3)]
        for rank in range(3)
    ]
    joined = [[i for indices in ranks for i in indices] for ranks in zip(*parts, strict=True)]
    assert joined == whole


def test_subjects_are_equal_where_the_subject_is() -> None:
    (batch,) = batches(Shades(12), batch_size=12, stop=1)
    assert batch.subjects is not None
    assert batch.subjects.dtype == torch.int64
    ids = dict(zip(batch.indices, batch.subjects.tolist(), strict=True))
    assert ids[0] == ids[1]
    assert ids[6] != ids[7], "not known, hence taken for another"
    assert len(set(ids.values())) == 7


class Marked(Shades):
    """Two points each, by number; of every third image one, of every fifth none is known."""

    point_names = ("left", "right")

    def annotation(self, index: int) -> Annotation:
        points = np.array([[index % 8, 2], [3, index % 6]], np.float32)
        if index % 3 == 0:
            points[1] = np.nan
        return Annotation(None if index % 5 == 0 else points)


@pytest.mark.parametrize(("fit", "workers"), [("crop", 0), ("pad", 1), ("stretch", 0)])
def test_points_come_in_the_frame_of_their_image(fit: Any, workers: int) -> None:
    data = Marked(20, bad=(3, 11))
    seen = 0
    framer = Framer(4, fit)
    for batch in batches(data, framer=framer, annotated=True, workers=workers, stop=5):
        assert batch.points is not None
        assert batch.points.shape == (4, 2, 2)
        assert batch.points.dtype == torch.float32
        for index, points in zip(batch.indices, batch.points.numpy(), strict=True):
            known = data.annotation(index).points
            if known is None:
                assert np.isnan(points).all()
                continue
            expected = Framing.of(8, 6 + index % 3, 4, fit).to_normalised(known)
            np.testing.assert_allclose(points, expected, rtol=1e-6)
            seen += 1
    assert seen > 10


def test_no_points_unless_asked_for() -> None:
    data = Marked(12)
    assert all(batch.points is None for batch in batches(data))
    with pytest.raises(LmkitError, match="learns from annotated points, and the data has none"):
        batches(Shades(12), annotated=True)


def test_no_subjects_where_the_data_knows_none() -> None:
    (batch,) = batches(Shades(12, subjects=False), stop=1)
    assert batch.subjects is None


def subject_of(index: int) -> int:
    return index // 4


class Frames(Marked):
    """Four images a subject; the last image of an odd number stands alone."""

    def annotation(self, index: int) -> Annotation:
        points = super().annotation(index).points
        return Annotation(points, subject=None if index == 20 else f"{subject_of(index)}")


def paired(data: Frames, **changes: Any) -> list[Batch]:
    partners = Partners(data, range(len(data)))
    return list(batches(data, partners=partners, annotated=True, **changes))


def equal(first: Batch, second: Batch) -> bool:
    assert first.partners is not None
    assert second.partners is not None
    assert first.partner_points is not None
    assert second.partner_points is not None
    return (
        same(first, second)
        and first.partner_indices == second.partner_indices
        and torch.equal(first.partners, second.partners)
        and torch.equal(first.partner_points.nan_to_num(9), second.partner_points.nan_to_num(9))
    )


def test_partners_are_other_images_of_the_subject_with_points_of_their_own() -> None:
    seen = set()
    for batch in paired(Frames(21), stop=100):
        assert batch.partners is not None
        assert batch.partner_points is not None
        assert batch.partners[:, 0, 0, 0].tolist() == batch.partner_indices
        for own, other in zip(batch.indices, batch.partner_indices, strict=True):
            assert (own == other) == (own == 20)
            assert own == 20 or subject_of(own) == subject_of(other)
        (alone,) = batches(Frames(21), annotated=True, indices=batch.partner_indices, stop=1)
        assert alone.points is not None
        for index, points in zip(batch.partner_indices, batch.partner_points, strict=True):
            expected = alone.points[alone.indices.index(index)]
            torch.testing.assert_close(points, expected, equal_nan=True)
        seen |= set(zip(batch.indices, batch.partner_indices, strict=True))
    assert len(seen) == 20 * 3 + 1, "in time, each other one"


@pytest.mark.parametrize("workers", [0, 2])
def test_partners_do_not_depend_on_earlier_steps_or_workers(workers: int) -> None:
    data = Frames(22, bad=(3, 11))
    long = paired(data)
    resumed = paired(data, start=5, workers=workers)
    assert all(equal(*pair) for pair in zip(long[5:], resumed, strict=True))
    assert not any(equal(*pair) for pair in zip(long, paired(data, seed=1), strict=True))


def test_partners_leave_the_images_as_they_are() -> None:
    without = list(batches(Frames(21)))
    assert all(batch.partners is None and not batch.partner_indices for batch in without)
    assert all(same(*pair) for pair in zip(paired(Frames(21)), without, strict=True))


def test_processes_share_the_partners_of_one() -> None:
    whole = [batch.partner_indices for batch in paired(Frames(24), batch_size=6, stop=6)]
    parts = [
        [batch.partner_indices for batch in paired(Frames(24), batch_size=2, rank=rank, world=3)]
        for rank in range(3)
    ]
    joined = [[i for part in ranks for i in part] for ranks in zip(*parts, strict=True)]
    assert joined[:6] == whole


def test_the_next_one_stands_in_for_a_partner_that_cannot_be_read() -> None:
    data = Frames(16, bad=(1, 4, 5, 6))
    for batch in paired(data, stop=20):
        for own, other in zip(batch.indices, batch.partner_indices, strict=True):
            assert other not in data.bad
            assert (own == other) == (own == 7), "all others of its subject are damaged"
    reported = {index for batch in paired(data, stop=20) for index in batch.unreadable}
    assert reported == set(data.bad)


def test_pinned_batches_have_their_partners_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    (batch,) = paired(Frames(8), stop=1)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    pinned = batch.pin_memory()
    for name in ("images", "points", "partners", "partner_points"):
        before, after = getattr(batch, name), getattr(pinned, name)
        torch.testing.assert_close(after, before + 1, equal_nan=True)
    (plain,) = batches(Frames(8), stop=1)
    assert plain.pin_memory().partners is None


def test_unreadable_images_are_replaced_from_beyond_the_step() -> None:
    sound, damaged = (list(batches(Shades(20, bad=bad), stop=5)) for bad in ((), (3, 11)))
    reported: Counter[int] = Counter()
    for before, after in zip(sound, damaged, strict=True):
        kept = [index for index in before.indices if index not in (3, 11)]
        assert [index for index in after.indices if index in kept] == kept
        stand_ins = set(after.indices) - set(kept)
        assert not stand_ins & set(before.indices)
        assert len(set(after.indices)) == 4
        assert after.images[:, 0, 0, 0].tolist() == after.indices
        assert all(reason.endswith("is damaged") for reason in after.unreadable.values())
        reported.update(index for index in after.unreadable if index in before.indices)
    assert reported == {3: 1, 11: 1}


@pytest.mark.parametrize("workers", [0, 1])
def test_data_of_which_nothing_can_be_read_is_refused(workers: int) -> None:
    with pytest.raises(LmkitError, match="None of the 5 images") as caught:
        list(batches(Shades(5, bad=(0, 1, 2, 3, 4)), workers=workers))
    assert "is damaged" in caught.value.problem
    assert caught.value.code == ExitCode.DATA


def test_one_readable_image_stands_in_for_all() -> None:
    (batch,) = batches(Shades(5, bad=(0, 1, 2, 3)), stop=1)
    assert batch.indices == [4] * 4


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(LmkitError, match="There are 3 images to train on, fewer than the 4"):
        batches(Shades(9), indices=[1, 2, 3])
    with pytest.raises(LmkitError, match="on each of 3 processes") as caught:
        batches(Shades(9), world=3)
    assert "--batch-size" in caught.value.remedy
    assert caught.value.code == ExitCode.USAGE


def test_no_process_is_started_for_data_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    data = Shades(22, in_memory=True)
    assert len(list(batches(data, workers=2))) == 10
    options: dict[str, Any] = {"framer": Framer(4), "batch_size": 4, "workers": 2}
    assert list(read_images(data, [1], unreadable=Unreadable(1), **options))
    with pytest.raises(AssertionError, match="was started"):
        list(batches(Shades(22), workers=2))


def test_stopping_early_and_no_steps_at_all() -> None:
    assert len(list(islice(batches(Shades(22), stop=10**9), 3))) == 3
    assert list(batches(Shades(22), start=10)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_images_for_evaluation_come_in_order_with_their_framings(workers: int) -> None:
    data, unreadable = Shades(30, bad=(4, 5, 20)), Unreadable(1.0)
    wanted = [9, 3, 4, 5, 21, 20, 8]
    found = list(
        read_images(
            data, wanted, framer=Framer(4, "stretch"), batch_size=2, workers=workers,
            unreadable=unreadable,
        )
    )  # fmt: skip
    assert [part.indices for part in found] == [[9, 3], [21], [8]]
    for images, indices, framings in found:
        assert images.shape == (len(indices), 3, 4, 4)
        assert images[:, 0, 0, 0].tolist() == indices
        for index, framing in zip(indices, framings, strict=True):
            height = 6 + index % 3
            np.testing.assert_allclose(framing.to_normalised((7.5, height - 0.5)), (1, 1))
    assert [entry["image"] for entry in unreadable.report()] == ["shade-20", "shade-4", "shade-5"]
