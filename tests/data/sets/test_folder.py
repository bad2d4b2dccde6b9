"""A folder of plain images."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data import image_kinds
from lmkit.data.image_files import load_image
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


def keys(folder: Folder) -> list[str]:
    return [folder.key(index) for index in range(len(folder))]


def test_images_that_cannot_be_read_here_are_named(tmp_path: Path) -> None:
    for name in ("k.jxl", "sub/l.SVG", "m.nef", ".hidden.jxl", "clip.MP4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"pixels")
    with pytest.raises(LmkitError, match="holds no image that can be read") as caught:
        Folder(path=tmp_path)
    assert "Convert" in caught.value.remedy
    assert "ffmpeg" in caught.value.remedy
    draw(tmp_path / "a.png")
    data = Folder(path=tmp_path)
    assert keys(data) == ["a.png"]
    notes = "\n".join(data.notes)
    assert "cannot be read here left out: 2, k.jxl, sub/l.SVG. Convert" in notes
    assert "Raw images of cameras left out: 1, m.nef." in notes
    assert "Videos left out: 1, clip.MP4." in notes


def test_an_image_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("image", "0123.1", "photo.jpg_large", "IMG.jpg!d"):
        Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(tmp_path / name, "JPEG")
    Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(tmp_path / "bitmap", "BMP")
    (tmp_path / "README").write_text("BM stands for bitmap")
    (tmp_path / "empty").touch()
    (tmp_path / "Thumbs.db").write_bytes(b"\xff\xd8\xff\xe0")
    data = Folder(path=tmp_path)
    assert keys(data) == ["0123.1", "IMG.jpg!d", "bitmap", "image", "photo.jpg_large"]
    assert all(data.image(index).shape == (4, 6, 3) for index in range(len(data)))
    assert tuple(data.notes) == ()


def test_what_is_no_file_is_left_out_and_named_without_waiting(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        os.mkfifo(tmp_path / "pipe")
    data = Folder(path=tmp_path)
    assert keys(data) == ["a.png"]
    (note,) = data.notes
    assert "no files" in note
    assert ": 3, gone.jpg, pipe.jpg, round.jpg." in note or not hasattr(os, "mkfifo")


def test_a_linked_image_is_taken_once(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/b.png")
    draw(tmp_path / "data/sub/c.png")
    (tmp_path / "data/a.png").symlink_to(tmp_path / "data/sub/c.png")
    (tmp_path / "data/x.png").symlink_to(tmp_path / "elsewhere/b.png")
    (tmp_path / "data/y.png").symlink_to(tmp_path / "elsewhere/b.png")
    data = Folder(path=tmp_path / "data")
    assert keys(data) == ["sub/c.png", "x.png"]
    (note,) = data.notes
    assert "listed already left out: 2, a.png, y.png." in note


def test_heic_is_read_by_an_extra_and_named_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "photo").write_bytes(b"\0\0\0\x18ftypmif1" + bytes(40))
    monkeypatch.setattr(image_kinds, "heic_is_read", lambda: False)
    monkeypatch.setattr(Image, "EXTENSION", {".png": "PNG"})
    data = Folder(path=tmp_path)
    assert keys(data) == ["a.png"]
    (note,) = data.notes
    assert note == (
        "HEIC images left out: 2, b.heic, photo. They are read with: pip install 'lmkit[heic]'."
    )
    monkeypatch.setattr(Image, "ID", ["PNG"])
    with pytest.raises(
        OSError, match=r"HEIC images\. They are read with: pip install 'lmkit\[heic"
    ):
        load_image(tmp_path / "b.heic")


@pytest.mark.skipif(find_spec("pillow_heif") is None, reason="pillow-heif is not installed")
def test_heic_is_read_where_the_extra_is_installed(tmp_path: Path) -> None:
    assert image_kinds.heic_is_read()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "a.heic")
    data = Folder(path=tmp_path)
    assert keys(data) == ["a.heic"]
    assert data.image(0).shape == (32, 48, 3)


def test_a_folder_called_like_a_kind_of_data_says_that_it_is_the_folder(
    draw, tmp_path, monkeypatch
):
    draw(tmp_path / "faces" / "a.png", (4, 4))
    monkeypatch.chdir(tmp_path)
    (note,) = Folder(path=Path("faces")).notes
    assert "faces is taken for the folder of that name" in note
    assert not Folder(path=tmp_path / "faces").notes
