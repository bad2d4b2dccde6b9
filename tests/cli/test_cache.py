"""``lmkit cache`` as users type it."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from lmkit.data.cache.cache_folder import Wanted, build_cache
from lmkit.data.framing import Framer
from lmkit.data.sets.folder import Folder


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """A folder of two caches, of one image each."""
    home = tmp_path / "home"
    monkeypatch.setenv("LMKIT_CACHE", str(home))
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "photos" / "0.png")
    for size in (16, 20):
        data, source = Folder(path=tmp_path / "photos"), {"name": "folder"}
        what = Wanted(data, Framer(size), source, "folder:photos", "lmkit 1.0")
        build_cache(
            home / f"folder-{size}",
            what,
            workers=0,
            progress=lambda done, total: None,
            waiting=lambda: None,
        )
    return home


def test_they_are_listed(lmkit, caches):
    code, out, _ = lmkit("cache", "list")
    assert code == 0
    assert all(word in out for word in ("folder-16", "folder-20", "folder:photos", "KiB", "home"))
    code, out, _ = lmkit("cache", "list", "--json")
    listed = json.loads(out)
    assert listed["folder"] == str(caches)
    assert {tuple(each["shape"]) for each in listed["caches"]} == {(1, 3, 16, 16), (1, 3, 20, 20)}


def test_where_there_is_none(lmkit, caches, tmp_path):
    code, out, _ = lmkit("cache", "list", "--folder", tmp_path / "nowhere")
    assert (code, out) == (0, f"There is no cache in {tmp_path / 'nowhere'}.\n")


def test_some_or_all_are_removed(lmkit, caches):
    code, out, _ = lmkit("cache", "remove", "folder-16")
    assert code == 0
    assert out.startswith("Removed 1 cache, ")
    assert [path.name for path in caches.iterdir()] == ["folder-20"]
    code, out, _ = lmkit("cache", "remove", "--all", "--folder", caches)
    assert code == 0
    assert list(caches.iterdir()) == []


def test_what_is_not_said_or_not_there_is_refused(lmkit, caches):
    code, _, error = lmkit("cache", "remove", "folder-17")
    assert code == 2
    assert "There is no cache 'folder-17'" in error
    assert "Did you mean 'folder-1" in error or "Did you mean 'folder-2" in error
    for words in ((), ("folder-16", "--all")):
        code, _, error = lmkit("cache", "remove", *words)
        assert code == 2
        assert "--all" in error
    assert len(list(caches.iterdir())) == 2


TRAIN = (
    *("train", "--recipe=reconstruction-quick", "--device=cpu", "--steps=1", "--batch-size=4"),
    *("--landmarks=3", "--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *(
        "--set=generator.width=4",
        "--set=generator.blocks=1",
        "--data=data",
        "--set=loading.fit=pad",
    ),
)


def exchange(path, other):
    """Give a file the pixels of another one and keep its size and times, as ``cp -p`` does."""
    before = path.stat()
    content = other.read_bytes()
    path.write_bytes(content + bytes(before.st_size - len(content)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.fixture
def cached(lmkit, tmp_path):
    """A folder of caches, of which one was built by training on the folder ``data``."""
    (tmp_path / "data").mkdir()
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (24, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "data" / f"{number}.bmp")
    code, _, stderr = lmkit(*TRAIN, "--set=loading.cache=kept", "--out=run")
    assert code == 0, stderr
    return tmp_path / "kept"


def test_an_image_that_was_exchanged_in_secret_is_noticed(lmkit, cached, tmp_path):
    exchange(tmp_path / "data" / "3.bmp", tmp_path / "data" / "4.bmp")
    code, _, stderr = lmkit(*TRAIN, "--set=loading.cache=kept", "--out=again")
    assert code == 0
    assert "1 of 8 images have changed: it is rebuilt." in stderr
    # A copy of all the data on another disk is read again as well, and nothing is wrong with it.
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "copy").rename(tmp_path / "data")
    code, _, stderr = lmkit(*TRAIN, "--set=loading.cache=kept", "--out=third")
    assert code == 0
    assert "8 of 8 images have changed: it is rebuilt." in stderr


def test_caches_are_compared_with_their_data(lmkit, cached, tmp_path):
    code, stdout, stderr = lmkit("cache", "verify", "--folder=kept")
    assert code == 0, stderr
    assert "sound" in stdout
    exchange(tmp_path / "data" / "3.bmp", tmp_path / "data" / "4.bmp")
    (images,) = cached.glob("*/images-*.npy")
    content = bytearray(images.read_bytes())
    content[-5] ^= 1
    images.write_bytes(content)
    code, stdout, _ = lmkit("cache", "verify", "--folder=kept", "--json")
    (found,) = json.loads(stdout)["caches"]
    assert code == 3
    assert (found["images"], found["damaged"], found["changed"]) == (8, ["7.bmp"], ["3.bmp"])
    assert found["sound"] is False
    code, stdout, _ = lmkit("cache", "verify", images.parent.name, "--folder=kept")
    assert code == 3
    assert f"lmkit cache remove {images.parent.name}" in stdout
    # Nothing was repaired in passing.
    assert images.read_bytes() == content


def test_a_cache_whose_data_is_gone_cannot_be_compared(lmkit, cached, tmp_path):
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    code, stdout, _ = lmkit("cache", "verify", "--folder=kept", "--json")
    (found,) = json.loads(stdout)["caches"]
    assert code == 3
    assert "has data that cannot be opened" in found["problem"]
    assert lmkit("cache", "verify", "folder-17", "--folder=kept")[0] == 2
    assert lmkit("cache", "verify", "--folder=nowhere")[:2] == (
        0,
        "There is no cache in nowhere.\n",
    )
