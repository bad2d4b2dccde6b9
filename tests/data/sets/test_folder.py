"""A folder of plain images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.sets.folder import Folder
from lmkit.errors import ExitCode, LmkitError


def draw(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), shade, np.uint8)).save(path)


def test_every_image_below_is_found_sorted(tmp_path: Path) -> None:
    for shade, name in enumerate(["b.png", "sub/deep/a.PNG", "sub/c.Jpeg", "a.webp", "d.TIF"]):
        draw(tmp_path / name, shade)
    for name in (".hidden.png", ".thumbnails/x.png", "sub/._a.png"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    data = Folder(path=tmp_path)
    keys = [data.key(index) for index in range(len(data))]
    assert keys == ["a.webp", "b.png", "d.TIF", "sub/c.Jpeg", "sub/deep/a.PNG"]
    assert data.image(4).shape == (4, 6, 3)
    assert (data.image(4) == 1).all()
    assert data.annotation(0) == (None, None)
    assert data.indices("train") is None
    assert data.problem(0) is None


def test_subfolders_can_be_subjects(tmp_path: Path) -> None:
    for name in ("ann/1.png", "ann/2.png", "bob/1.png", "stray.png"):
        draw(tmp_path / name)
    data = Folder(path=tmp_path, subjects="folder")
    assert [data.annotation(i).subject for i in range(4)] == ["ann", "ann", "bob", None]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/a.png")
    draw(tmp_path / "data/b.png")
    (tmp_path / "data/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/round").symlink_to(tmp_path / "data")
    data = Folder(path=tmp_path / "data")
    assert [data.key(index) for index in range(len(data))] == ["b.png", "link/a.png"]


def test_problem_names_text_in_disguise(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("words")
    assert "not an image" in (Folder(path=tmp_path).problem(1) or "")


def test_unusable_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, problem, remedy in [
        ("missing", "does not exist", "--data"),
        ("file", "is a file", "--data"),
        ("empty", "holds no image", ".png"),
    ]:
        with pytest.raises(LmkitError, match=problem) as caught:
            Folder(path=tmp_path / name)
        assert str(tmp_path / name) in caught.value.problem
        assert remedy in caught.value.remedy
        assert caught.value.code == ExitCode.DATA


def test_images_go_by_any_name_that_pil_knows(tmp_path: Path) -> None:
    for name in ("A.JPG", "b.JPEG", "d.jfif", "e.jpe", "ä ö 顔.png", "t.TGA"):
        draw(tmp_path / name)
    data = Folder(path=tmp_path)
    keys = ["A.JPG", "b.JPEG", "d.jfif", "e.jpe", "t.TGA", "ä ö 顔.png"]
    assert [data.key(index) for index in range(len(data))] == keys
    assert all(data.image(index).shape == (4, 6, 3) for index in range(len(data)))
    assert tuple(data.notes) == ()


def test_images_that_cannot_be_read_here_are_named(tmp_path: Path) -> None:
    for name in ("k.heic", "sub/l.HEIF", "m.nef", ".hidden.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"pixels")
    with pytest.raises(LmkitError, match=r"k\.heic, m\.nef, sub/l\.HEIF cannot") as caught:
        Folder(path=tmp_path)
    assert "Convert" in caught.value.remedy
    draw(tmp_path / "a.png")
    data = Folder(path=tmp_path)
    assert len(data) == 1
    (note,) = data.notes
    assert "cannot be read here are left out: 3, k.heic, m.nef, sub/l.HEIF." in note
