"""Folders that are made before the work: there while it goes on, and gone where it fails."""

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import made


def test_a_folder_is_there_for_the_work_and_stays_after_it(tmp_path):
    with made(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "a" / "b").is_dir()


def test_work_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), made(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_or_was_written_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyError), made(tmp_path / "a"):
        raise KeyError
    assert (tmp_path / "a").is_dir()
    (tmp_path / "a" / "half.txt").write_text("half")
    with pytest.raises(KeyError), made(tmp_path / "a"):
        raise KeyError
    assert (tmp_path / "a" / "half.txt").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    unwritable = made(tmp_path / "file" / "below")
    with pytest.raises(LmkitError, match="file/below cannot be written") as caught, unwritable:
        pass
    assert caught.value.code == ExitCode.STORAGE
