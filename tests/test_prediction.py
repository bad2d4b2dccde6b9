import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit import prediction
from lmkit.drawing import colours
from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction import find_pictures, predict_files
from lmkit.run import open_run


@pytest.fixture(scope="module")
def run(trained):
    return open_run(trained, device="cpu")


def save(path, size=(40, 30), shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def album(tmp_path):
    for number, name in enumerate(("one/a.png", "one/deep/b.png", "two/a.png", "c.png")):
        save(tmp_path / name, (40 + number, 30), number)
    return tmp_path


def test_one_folder_is_named_from_within(album):
    found = find_pictures([album])
    assert list(found) == ["c.png", "one/a.png", "one/deep/b.png", "two/a.png"]
    assert found["one/a.png"] == album / "one" / "a.png"


def test_of_several_paths_folders_keep_their_names(album):
    found = find_pictures([album / "two", album / "c.png", album / "one"])
    assert list(found) == ["two/a.png", "c.png", "one/a.png", "one/deep/b.png"]


def test_the_same_name_twice_is_told_apart(album):
    first, second = album / "one" / "a.png", album / "two" / "a.png"
    assert find_pictures([first, second]) == {"a.png": first, second.as_posix(): second}


def test_folders_of_the_same_name_are_told_apart(album):
    save(album / "one" / "two" / "a.png", shade=9)
    found = find_pictures([album / "two", album / "one" / "two"])
    assert found.keys() == {"two/a.png", (album / "one/two/a.png").as_posix()}


def test_the_same_file_twice_counts_once(album, monkeypatch):
    monkeypatch.chdir(album / "one")
    given = [album / "one", album / "one" / "a.png", album / "two" / ".." / "one" / "a.png"]
    assert list(find_pictures(given)) == ["one/a.png", "one/deep/b.png"]
    named = find_pictures([Path(), Path("../two"), Path("..")])
    assert list(named)[:3] == ["one/a.png", "one/deep/b.png", "two/a.png"]
    assert list(named)[3] == f"{album.name}/c.png"


def test_drawings_of_an_earlier_call_are_no_pictures_unless_asked_for(album):
    drawing = save(album / "out" / "overlays" / "c.png.png")
    assert len(find_pictures([album], without=album / "out" / "overlays")) == 4
    assert find_pictures([drawing], without=album / "out" / "overlays") == {drawing.name: drawing}


def test_what_does_not_exist_or_holds_no_picture_is_refused(album):
    with pytest.raises(LmkitError, match=r"absent\.png does not exist") as caught:
        find_pictures([album / "c.png", album / "absent.png"])
    assert caught.value.code == ExitCode.DATA
    (album / "empty").mkdir()
    with pytest.raises(LmkitError, match="empty holds no picture") as caught:
        find_pictures([album / "empty"])
    assert caught.value.code == ExitCode.DATA


def read_csv(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "width", "height", "x0", "y0", "x1", "y1", "x2", "y2"]
    return {
        row[0]: (int(row[1]), int(row[2]), np.array(row[3:], float).reshape(-1, 2)) for row in rows
    }


def read_json(path):
    return {
        entry["file"]: (entry["width"], entry["height"], np.array(entry["points"]))
        for entry in json.loads(path.read_text())
    }


@pytest.mark.parametrize(("form", "read"), [("csv", read_csv), ("json", read_json)])
def test_the_file_holds_the_points_of_every_picture(run, album, tmp_path, form, read):
    save(album / 'odd, "name".png', (33, 44), 7)
    found = find_pictures([album])
    result = predict_files(run, found, tmp_path / "out", form=form, batch_size=2)
    assert result.to_dict() == {
        "landmarks": str(tmp_path / "out" / f"landmarks.{form}"),
        "pictures": 5,
        "unreadable": {},
    }
    written = read(result.landmarks)
    assert list(written) == list(found)
    sizes = {name: prediction.load_image(path).shape for name, path in found.items()}
    for name, (width, height, points) in written.items():
        assert (height, width, 3) == sizes[name]
        assert np.allclose(points, run.predict(found[name]), atol=2e-3)


def test_a_csv_can_be_read_back_as_data(run, album, tmp_path):
    from lmkit.data.table import Table

    result = predict_files(run, find_pictures([album]), tmp_path / "out")
    data = Table(path=result.landmarks, root=album)
    assert data.annotation(0).points.shape == (3, 2)


def test_unreadable_pictures_are_skipped_and_named_in_order(run, album, tmp_path):
    (album / "b.jpg").write_text("no picture")
    (album / "z.png").write_bytes((album / "c.png").read_bytes()[:200])
    heard = []
    found = find_pictures([album])
    result = predict_files(
        run, found, tmp_path / "out", batch_size=2, progress=lambda *both: heard.append(both)
    )
    assert list(result.unreadable) == ["b.jpg", "z.png"]
    assert "not a picture" in result.unreadable["b.jpg"]
    assert list(read_csv(result.landmarks)) == [n for n in found if n not in ("b.jpg", "z.png")]
    assert heard[-1][1] == 6


def test_without_a_readable_picture_nothing_is_written(run, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no picture")
    out = tmp_path / "out"
    save(out / "overlays" / "x.png")
    (out / "landmarks.csv").write_text("of an earlier call")
    with pytest.raises(LmkitError, match=r"None of 2 pictures .* a\.jpg: it is not") as e:
        predict_files(run, {n: tmp_path / n for n in ("a.jpg", "b.jpg")}, out)
    assert e.value.code == ExitCode.DATA
    with pytest.raises(LmkitError, match=r"^a\.jpg cannot be read: it is not a picture"):
        predict_files(run, {"a.jpg": tmp_path / "a.jpg"}, out)
    with pytest.raises(LmkitError, match="No picture was given"):
        predict_files(run, {}, out)
    assert (out / "landmarks.csv").read_text() == "of an earlier call"
    assert sorted(path.name for path in out.iterdir()) == ["landmarks.csv", "overlays"]


def test_the_drawing_shows_the_points_on_the_picture(run, album, tmp_path):
    predict_files(run, {"c.png": album / "c.png"}, tmp_path / "out")
    drawn = np.asarray(Image.open(tmp_path / "out" / "overlays" / "c.png.png"))
    original = np.asarray(Image.open(album / "c.png"))
    assert drawn.shape == original.shape
    # The last one is drawn on top.
    x, y = np.rint(run.predict(album / "c.png")[-1]).astype(int)
    assert tuple(drawn[y, x]) == colours(3)[-1]


@pytest.mark.parametrize("name", ["../../up.png", "/abs/olute.png", "a/../../../b.png"])
def test_no_name_leads_a_drawing_out_of_its_folder(run, album, tmp_path, name):
    out = tmp_path / "deep" / "out"
    before = set(tmp_path.rglob("*"))
    predict_files(run, {name: album / "c.png"}, out)
    new = [path for path in tmp_path.rglob("*.png") if path not in before]
    assert len(new) == 1
    assert out / "overlays" in new[0].parents


def test_drawings_can_be_left_out(run, album, tmp_path):
    predict_files(run, find_pictures([album]), tmp_path / "out", overlays=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["landmarks.csv"]


def test_a_file_in_the_way_is_named(run, album, tmp_path):
    with pytest.raises(LmkitError, match=r"c\.png.* cannot be written") as caught:
        predict_files(run, find_pictures([album]), album / "c.png" / "out")
    assert caught.value.code == ExitCode.STORAGE


def test_a_full_disk_keeps_what_was_there(run, album, tmp_path, monkeypatch):
    out = tmp_path / "out"
    predict_files(run, {"c.png": album / "c.png"}, out)
    before = (out / "landmarks.csv").read_text()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prediction, "_draw", full)
    with pytest.raises(LmkitError, match="No space left on device") as caught:
        predict_files(run, find_pictures([album]), out)
    assert caught.value.code == ExitCode.STORAGE
    assert (out / "landmarks.csv").read_text() == before
    assert not list(out.glob(".*"))


def test_pictures_are_read_a_batch_at_a_time(run, album, tmp_path, monkeypatch):
    read = []
    real = prediction.load_image

    def load(path):
        read.append(path)
        return real(path)

    monkeypatch.setattr(prediction, "load_image", load)
    ahead = []
    found = {f"{number}.png": album / "c.png" for number in range(7)}
    predict_files(
        run, found, tmp_path / "out", batch_size=2,
        progress=lambda done, total: ahead.append(len(read) - done),
    )  # fmt: skip
    assert len(ahead) == 7
    assert max(ahead) <= 1
