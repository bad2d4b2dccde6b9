"""When images are cached, where, and what is said of it."""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lmkit.data.cache.cache_folder import list_caches
from lmkit.data.cache.on_disk import DiskCachedDataset
from lmkit.data.sets.folder import Folder
from lmkit.errors import ExitCode, LmkitError
from lmkit.preparation import keeping as caching
from lmkit.preparation.of_run import own_data
from lmkit.run.run import open_run
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import read_assignments
from lmkit.storage import cache_place
from lmkit.training.session import resume, start


class Listener(Callback):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.counts = [], []

    def note(self, text):
        self.notes.append(text)

    def prepared(self, what, done, total):
        self.counts.append((what, done, total))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where caches go by themselves."""
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path):
    """Eight images, which four steps of four read twice."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (40, 36, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def train(tiny, photos, out, *assignments):
    listener = Listener()
    data = (f"data.name=folder:{photos}", "loading.held_out=0", "run.sheet_every=0")
    start(tiny(*data, *assignments), out, [listener])
    return listener


def weights(out, step=4):
    return load_file(out / "checkpoints" / f"step-{step}" / "detector.safetensors")


def same(first, second):
    return all(torch.equal(value, second[key]) for key, value in first.items())


def test_it_is_built_once_and_changes_nothing(tiny, photos, home, tmp_path):
    first = train(tiny, photos, tmp_path / "a")
    (entry,) = list_caches(home)
    assert entry.label == f"folder:{photos}"
    assert first.notes[0].startswith(f"Reading 8 images once, for the cache {entry.path} (24")
    assert first.notes[1].startswith("The images are cached (")
    assert first.counts == [("reading", 0, 8), ("reading", 8, 8)]
    second = train(tiny, photos, tmp_path / "b")
    assert second.notes == second.counts == []
    third = train(tiny, photos, tmp_path / "c", "loading.cache=none")
    assert third.notes == []
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_training_decodes_nothing_more(tiny, photos, home, tmp_path, monkeypatch):
    train(tiny, photos, tmp_path / "a")
    monkeypatch.setattr(Folder, "image", lambda self, index: pytest.fail("was decoded"))
    train(tiny, photos, tmp_path / "b")


def test_a_run_that_reads_few_images_makes_none_but_uses_one(
    tiny, photos, home, tmp_path, monkeypatch
):
    few = "run.steps=3"
    assert train(tiny, photos, tmp_path / "a", few).notes == []
    assert list_caches(home) == []
    train(tiny, photos, tmp_path / "b")
    monkeypatch.setattr(Folder, "image", lambda self, index: pytest.fail("was decoded"))
    train(tiny, photos, tmp_path / "c", few)


def test_one_out_of_date_is_rebuilt_and_that_is_said(tiny, photos, home, tmp_path):
    train(tiny, photos, tmp_path / "a")
    Image.new("RGB", (40, 40)).save(photos / "3.png")
    listener = train(tiny, photos, tmp_path / "b")
    (entry,) = list_caches(home)
    assert listener.notes[0] == (
        f"The cache {entry.path} is out of date: 1 of 8 images have changed: it is rebuilt."
    )
    train(tiny, photos, tmp_path / "c", "loading.cache=none")
    assert same(weights(tmp_path / "b"), weights(tmp_path / "c"))


def test_damaged_images_are_put_right_and_that_is_said(tiny, photos, home, tmp_path):
    train(tiny, photos, tmp_path / "a")
    (entry,) = list_caches(home)
    with next(entry.path.glob("images-*")).open("r+b") as file:
        file.seek(500)
        file.write(b"damage")
    listener = train(tiny, photos, tmp_path / "b")
    assert listener.notes == [
        f"Damaged images in the cache {entry.path} were read again and repaired: 1. The disk may "
        "be failing."
    ]
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert train(tiny, photos, tmp_path / "c").notes == []


def test_the_folder_may_be_named_and_changed_on_resume(tiny, photos, home, tmp_path):
    own = tmp_path / "own"
    train(tiny, photos, tmp_path / "a", "run.steps=2", f"loading.cache={own}")
    assert list_caches(home) == []
    assert len(list_caches(own)) == 1
    resume(tmp_path / "a", [read_assignments(["run.steps=4", "loading.cache=none"])])
    train(tiny, photos, tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_paths_are_made_absolute(tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tiny("loading.cache=here").loading.cache == str(tmp_path / "here")
    assert tiny("loading.cache=none").loading.cache == "none"


def test_data_in_memory_is_not_cached(tiny, home, tmp_path):
    start(tiny(f"loading.cache={home}"), tmp_path / "a")
    assert list_caches(home) == []


def test_data_that_cannot_say_when_it_changes_is_not_cached(
    tiny, photos, home, tmp_path, monkeypatch
):
    monkeypatch.setattr(Folder, "stamp", lambda self, index: None)
    assert train(tiny, photos, tmp_path / "a").notes == []
    (note,) = train(tiny, photos, tmp_path / "b", f"loading.cache={home}").notes
    assert "cannot say when its images change" in note
    assert list_caches(home) == []


def test_without_room_training_goes_on_unless_a_folder_was_named(
    tiny, photos, home, tmp_path, monkeypatch
):
    monkeypatch.setattr(caching, "_free", lambda folder: 30 * 1024)
    (note,) = train(tiny, photos, tmp_path / "a").notes
    assert note.startswith("The images are not cached: the cache takes 24.")
    monkeypatch.setattr(caching, "_free", lambda folder: 10 * 1024)
    with pytest.raises(LmkitError, match=r"has no room for it: the cache takes 24\.") as caught:
        train(tiny, photos, tmp_path / "b", f"loading.cache={home}")
    assert caught.value.code == ExitCode.STORAGE
    assert not (tmp_path / "b").exists()


def test_where_it_cannot_be_written_training_goes_on_unless_a_folder_was_named(
    tiny, photos, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "file" / "below"))
    (note,) = train(tiny, photos, tmp_path / "a").notes[-1:]
    assert "The images are not cached: " in note
    with pytest.raises(LmkitError, match="cannot be written") as caught:
        train(tiny, photos, tmp_path / "b", f"loading.cache={tmp_path / 'file'}")
    assert caught.value.code == ExitCode.STORAGE


def test_evaluation_reads_from_it_and_builds_none(tiny, photos, home, tmp_path):
    train(tiny, photos, tmp_path / "a", "run.steps=3")
    assert not isinstance(own_data(open_run(tmp_path / "a")).dataset, DiskCachedDataset)
    train(tiny, photos, tmp_path / "b")
    dataset = own_data(open_run(tmp_path / "a")).dataset
    assert isinstance(dataset, DiskCachedDataset)
    os.utime(photos / "3.png", ns=(1, 1))
    assert dataset.framed(3, dataset.framer) is None
    assert dataset.framed(4, dataset.framer) is not None


def test_its_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_place() == tmp_path / "a"
    monkeypatch.delenv("LMKIT_CACHE")
    assert cache_place() == tmp_path / "b" / "lmkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    if sys.platform == "linux":
        assert cache_place() == tmp_path / "c" / ".cache" / "lmkit"
    assert cache_place().is_absolute()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system knows a folder")
def test_a_user_without_a_home_has_a_folder_all_the_same(monkeypatch):
    import pwd

    def unknown(number):
        raise KeyError(number)

    for name in ("LMKIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert cache_place() == Path(tempfile.gettempdir()) / "lmkit"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (150 * 1024**2, "150 MiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_sizes_in_words(count, words):
    assert caching.in_bytes(count) == words


def test_what_a_run_says_of_its_cache_is_in_its_settings(tiny, photos, home, tmp_path):
    train(tiny, photos, tmp_path / "a", f"loading.cache={home}")
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["settings"]["loading"]["cache"] == str(home)
