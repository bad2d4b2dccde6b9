"""``lmkit cache`` as users type it."""

import json

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
