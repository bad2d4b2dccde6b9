"""Images of files and folders, each once and by a name of its own."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction.album import find_images


def save(path, size=(40, 30), shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), shade, np.uint8)).save(path)
    return path


@pytest.fixture
def album(tmp_path):
    for number, name in enumerate(("one/a.png", "one/deep/b.png", "two/a.png", "c.png")):
        save(tmp_path / name, (40 + number, 30), number)
    return tmp_path


def names(images):
    return [name for name, _ in images]


def test_one_folder_is_named_from_within(album):
    found = find_images([album])
    assert names(found) == ["c.png", "one/a.png", "one/deep/b.png", "two/a.png"]
    assert dict(found)["one/a.png"] == album / "one" / "a.png"


def test_of_several_paths_folders_keep_their_names(album):
    found = find_images([album / "two", album / "c.png", album / "one"])
    assert names(found) == ["two/a.png", "c.png", "one/a.png", "one/deep/b.png"]


def test_the_same_name_twice_is_told_apart(album):
    first, second = album / "one" / "a.png", album / "two" / "a.png"
    assert list(find_images([first, second])) == [
        ("a.png", first),
        (second.as_posix(), second),
    ]


def test_folders_of_the_same_name_are_told_apart(album):
    save(album / "one" / "two" / "a.png", shade=9)
    found = find_images([album / "two", album / "one" / "two"])
    assert set(names(found)) == {"two/a.png", (album / "one/two/a.png").as_posix()}


def test_the_same_file_twice_counts_once(album, monkeypatch):
    monkeypatch.chdir(album / "one")
    given = [album / "one", album / "one" / "a.png", album / "two" / ".." / "one" / "a.png"]
    assert names(find_images(given)) == ["one/a.png", "one/deep/b.png"]
    named = find_images([Path(), Path("../two"), Path("..")])
    assert names(named)[:3] == ["one/a.png", "one/deep/b.png", "two/a.png"]
    assert names(named)[3] == f"{album.name}/c.png"


def test_drawings_of_an_earlier_call_are_no_images_unless_asked_for(album):
    drawing = save(album / "out" / "overlays" / "c.png.png")
    assert len(find_images([album], without=album / "out" / "overlays")) == 4
    assert find_images([drawing], without=album / "out" / "overlays")[:] == [
        (drawing.name, drawing)
    ]


def test_what_does_not_exist_or_holds_no_image_is_refused(album):
    with pytest.raises(LmkitError, match=r"absent\.png does not exist") as caught:
        find_images([album / "c.png", album / "absent.png"])
    assert caught.value.code == ExitCode.DATA
    (album / "empty").mkdir()
    with pytest.raises(LmkitError, match="empty holds no image") as caught:
        find_images([album / "empty"])
    assert caught.value.code == ExitCode.DATA


def test_drawings_in_a_folder_of_a_longer_name_are_images(album):
    save(album / "overlays-of-mine" / "d.png")
    found = find_images([album], without=album / "overlays")
    assert "overlays-of-mine/d.png" in names(found)


def test_a_link_goes_by_its_own_name(album):
    (album / "link.png").symlink_to(album / "c.png")
    assert find_images([album / "link.png"])[:] == [("link.png", album / "link.png")]


def test_images_are_counted_from_either_end(album):
    found = find_images([album / "one", album / "two", album / "one" / "a.png"])
    assert len(found) == 3
    assert found[-1] == found[2] == ("two/a.png", album / "two" / "a.png")
    assert found[1:] == [found[1], found[2]]
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            found[wrong]


def test_an_image_takes_a_few_dozen_bytes(album):
    for number in range(1000):
        (album / "one" / f"image-{number:06}.png").hardlink_to(album / "c.png")
    found = find_images([album, album / "c.png"])
    text = sum(len(name) for name, _ in found)
    assert len(pickle.dumps(found)) < text + 20 * len(found)
    assert pickle.loads(pickle.dumps(found))[:] == found[:]
