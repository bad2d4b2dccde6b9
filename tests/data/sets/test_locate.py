"""Finding the images that a list names."""

import unicodedata

import pytest

from lmkit.data.sets.locate import locate
from lmkit.errors import ExitCode, LmkitError


def look(folders, files):
    return locate(folders, files, listed_by="the list", remedy="Look.")


@pytest.fixture
def album(draw, tmp_path):
    for name in ("a.png", "images/seq/B.png", "images/Jos\u00e9.png"):
        draw(tmp_path / name, (2, 2))
    return tmp_path


def test_presence_is_looked_up_in_every_folder(draw, tmp_path):
    for name in ("a.png", "deep/b.png"):
        draw(tmp_path / name, (2, 2))
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "e.png").symlink_to(tmp_path / "nothing")
    files = ["a.png", "deep/b.png", "c.png", "d.png", "e.png", "none/f.png", "./a.png", ""]
    files.append(str(tmp_path / "a.png"))
    found = look([tmp_path], files)
    assert found.there.tolist() == [True, True, False, True, False, False, True, True, True]
    assert found.notes == (
        f"3 of the 8 images that the list lists are not in {tmp_path} and are left out: "
        "c.png, e.png, none/f.png.",
    )
    folders = [tmp_path / "none", tmp_path / "deep", tmp_path]
    assert look(folders, ["b.png"]).root == tmp_path / "deep"
    for listed, problem in (([], "the list lists no image"), (["z.png"], "such as z.png")):
        with pytest.raises(LmkitError, match=problem) as caught:
            look(folders, listed)
        assert caught.value.remedy == "Look."
        assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    "listed",
    [
        "images\\seq\\B.png",
        ".\\images\\seq\\B.png",
        "IMAGES/Seq/b.PNG",
        "C:\\Users\\me\\proj\\images\\seq\\B.png",
        "/home/other/proj/images/seq/B.png",
        "/home/other/Images/seq/b.png",
    ],
)
def test_names_of_other_machines_are_found_and_said(album, listed):
    found = look([album / "none", album], ["a.png", listed, "gone.png"])
    assert found.root == album
    assert found.files[1] == "images/seq/B.png"
    assert found.there.tolist() == [True, True, False]
    assert "1 of the 3 images" in found.notes[0]
    assert "images/seq/B.png, which it calls" in found.notes[0]
    assert look([album / "none", album], [listed]).files == ["images/seq/B.png"]


def test_accents_may_be_composed_or_not(album):
    name = unicodedata.normalize("NFD", "images/Jos\u00e9.png")
    assert look([album], [name]).files == ["images/Jos\u00e9.png"]


def test_what_could_mean_two_images_means_none(draw, album):
    draw(album / "images/x.png", (2, 2))
    draw(album / "images/X.png", (2, 2))
    found = look([album], ["a.png", "images/X.PNG", "/p/a.png", "/q/images/x.png", "A.png"])
    # Found exactly, ambiguous, listed already, one alone, listed already.
    assert found.there.tolist() == [True, False, False, True, False]
    # Folders that the list names are no other machine's: they are not taken away.
    with pytest.raises(LmkitError, match="holds none"):
        look([album], ["elsewhere/a.png"])


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "\ud800.png", "../" * 2000, "/" * 9, "\n"])
def test_names_that_no_file_can_have_are_not_there(album, name):
    assert look([album], ["a.png", name]).there.tolist() == [True, False]
    with pytest.raises(LmkitError, match="holds none") as caught:
        look([album], [name])
    caught.value.problem.encode("utf-8")
