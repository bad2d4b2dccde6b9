"""Counting images that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.folder import Folder
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.errors import ExitCode, LmkitError


def test_each_image_counts_once_and_the_limit_is_allowed() -> None:
    unreadable = Unreadable(0.05)
    unreadable.check(100, all_read=True)
    for key in ("b.jpg", "a.jpg", "b.jpg"):
        unreadable.add(key, "it is empty")
    assert len(unreadable) == 2
    unreadable.check(40, all_read=True)
    assert unreadable.report() == [
        {"image": "a.jpg", "reason": "it is empty"},
        {"image": "b.jpg", "reason": "it is empty"},
    ]


def test_too_many_are_refused_with_a_share_that_would_do() -> None:
    unreadable = Unreadable(0.05)
    for index in range(5):
        unreadable.add(f"{index}.jpg", "it is empty")
    with pytest.raises(LmkitError, match=r"5 of 30 images \(16.7%\)") as caught:
        unreadable.check(30, all_read=True)
    assert "0.jpg (it is empty); 1.jpg (it is empty)" in caught.value.problem
    assert "and 2 more" in caught.value.problem
    assert "--set loading.max_unreadable=0.17" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA
    allowed = Unreadable(0.17)
    allowed.add("0.jpg", "it is empty")
    allowed.check(30, all_read=True)


def test_all_are_always_too_many() -> None:
    unreadable = Unreadable(1.0)
    unreadable.add("a.jpg", "it is empty")
    with pytest.raises(LmkitError, match="1 of 1 images") as caught:
        unreadable.check(1, all_read=True)
    assert "max_unreadable" not in caught.value.remedy


def advice(count: int, total: int, *, all_read: bool) -> float:
    unreadable = Unreadable(0.0)
    for index in range(count):
        unreadable.add(str(index), "it is empty")
    with pytest.raises(LmkitError) as caught:
        unreadable.check(total, all_read=all_read)
    return float(caught.value.remedy.partition("max_unreadable=")[2].split(",")[0].rstrip("."))


@pytest.mark.parametrize("total", [2, 7, 40, 100, 201, 1999])
def test_the_share_that_is_advised_suffices_and_is_one_that_can_be_given(total: int) -> None:
    for count in {1, total // 3 + 1, total - 1}:
        share = advice(count, total, all_read=True)
        assert count / total <= share < 1
        enough = Unreadable(share)
        for index in range(count):
            enough.add(str(index), "it is empty")
        enough.check(total, all_read=True)
        # Before all are read, as many more may prove damaged as leave one.
        assert (total - 1) / total <= advice(count, total, all_read=False) < 1


def test_files_are_checked_without_decoding(tmp_path: Path) -> None:
    for name in ("a.png", "c.jpg"):
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "b.jpg").write_text("words")
    (tmp_path / "d.png").write_bytes(b"")
    found = find_unreadable(Folder(path=tmp_path))
    assert list(found) == [1, 3]
    assert "not an image" in found[1]
    assert "empty" in found[3]
