import csv
import errno
import json
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.data.image_files import load_image
from lmkit.drawing.points import colours
from lmkit.errors import ExitCode, LmkitError
from lmkit.prediction import predict, sources, stream
from lmkit.prediction.album import find_images
from lmkit.prediction.predict import overlay_path, predict_images
from lmkit.prediction.sources import DatasetImages, ImageFiles, Source
from lmkit.preparation.of_run import own_data
from lmkit.run.run import open_run


@pytest.fixture(scope="module")
def run(trained):
    return open_run(trained, device="cpu")


def predict_files(run, files, out, **options):
    return predict_images(run.predictor, ImageFiles(files), out, **options)


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
def test_the_file_holds_the_points_of_every_image(run, album, tmp_path, form, read):
    save(album / 'odd, "name".png', (33, 44), 7)
    found = find_images([album])
    result = predict_files(run, found, tmp_path / "out", form=form, batch_size=2)
    assert result.to_dict() == {
        "landmarks": str(tmp_path / "out" / f"landmarks.{form}"),
        "points": None,
        "images": 5,
        "unreadable": 0,
        "reasons": {},
        "unreadable_file": None,
    }
    written = read(result.landmarks)
    assert list(written) == [name for name, _ in found]
    for name, file in found:
        width, height, points = written[name]
        assert (height, width, 3) == load_image(file).shape
        assert np.allclose(points, run.predict(file), atol=2e-3)


def test_a_csv_can_be_read_back_as_data(run, album, tmp_path):
    from lmkit.data.sets.table import CsvTable

    result = predict_files(run, find_images([album]), tmp_path / "out")
    data = CsvTable(path=result.landmarks, root=album)
    assert data.annotation(0).points.shape == (3, 2)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("overlays", [True, False])
def test_neither_batches_nor_processes_nor_order_change_what_is_found(
    run, album, tmp_path, workers, overlays
):
    for number in range(20):
        save(album / f"{number}.png", (30 + number, 40), number)
    (album / "7.png").write_text("no image")
    found = find_images([album])
    expected = read_csv(predict_files(run, found, tmp_path / "one", batch_size=1).landmarks)
    assert len(expected) == 23
    for size, images in ((3, found[:]), (32, found[::-1])):
        out = tmp_path / f"out-{size}"
        heard = []
        result = predict_files(
            run, images, out, overlays=overlays, batch_size=size, workers=workers,
            progress=lambda done, total, heard=heard: heard.append((done, total)),
        )  # fmt: skip
        written = read_csv(result.landmarks)
        assert list(written) == [name for name, _ in images if name != "7.png"]
        for name, (width, height, points) in written.items():
            assert (width, height) == expected[name][:2]
            assert np.allclose(points, expected[name][2], atol=2e-3)
        assert result.reasons == {"7.png": "it is not an image of a known format"}
        assert [done for done, _ in heard] == sorted(done for done, _ in heard)
        assert heard[-1] == (24, 24)
        drawn = {path.name for path in (out / "overlays").rglob("*.png")}
        assert len(drawn) == (22 if overlays else 0)  # two are called a.png
    assert not multiprocessing.active_children()


def test_whole_images_stay_where_they_are_read(run, tmp_path):
    large = save(tmp_path / "large.png", (900, 700))
    source = ImageFiles([("large.png", large)] * 4)
    read = stream._Reader(source, run.framer)
    result = read([*source])
    assert result.sizes == [(900, 700)] * 4
    size = run.settings.run.image_size
    assert result.squares.shape == (4, 3, size, size)
    assert result.squares.is_contiguous()
    assert len(pickle.dumps(result)) < 3 * 4 * size * size + 5000


def read_reasons(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "reason"]
    return rows


def test_unreadable_images_are_skipped_and_named_in_order(run, album, tmp_path):
    (album / "b.jpg").write_text("no image")
    (album / "z.png").write_bytes((album / "c.png").read_bytes()[:200])
    heard = []
    found = find_images([album])
    result = predict_files(
        run, found, tmp_path / "out", batch_size=2, progress=lambda *both: heard.append(both)
    )
    assert list(result.reasons) == ["b.jpg", "z.png"]
    assert "not an image" in result.reasons["b.jpg"]
    assert result.unreadable == 2
    assert result.unreadable_file == tmp_path / "out" / "unreadable.csv"
    assert read_reasons(result.unreadable_file) == [[*item] for item in result.reasons.items()]
    assert list(read_csv(result.landmarks)) == [n for n, _ in found if n not in ("b.jpg", "z.png")]
    assert heard[-1] == (6, 6)
    result = predict_files(run, found[2:-1], tmp_path / "out")
    assert (result.unreadable, result.unreadable_file) == (0, None)
    assert not (tmp_path / "out" / "unreadable.csv").exists()


def test_of_many_unreadable_images_only_the_first_are_kept(run, album, tmp_path):
    for number in range(40):
        (album / f"{number:02}.jpg").write_text("no image")
    result = predict_files(run, find_images([album]), tmp_path / "out", batch_size=7, workers=2)
    assert (result.images, result.unreadable) == (4, 40)
    assert list(result.reasons) == [f"{number:02}.jpg" for number in range(10)]
    assert len(read_reasons(result.unreadable_file)) == 40


def test_an_image_that_vanishes_before_it_is_drawn_is_named(run, album, tmp_path, monkeypatch):
    real = predict.draw_points

    def draw(*arguments, **options):
        (album / "one" / "a.png").unlink(missing_ok=True)
        return real(*arguments, **options)

    monkeypatch.setattr(predict, "draw_points", draw)
    result = predict_files(run, find_images([album]), tmp_path / "out")
    assert (result.images, result.unreadable) == (4, 1)
    assert "not drawn, since it cannot be read again" in result.reasons["one/a.png"]


def test_without_a_readable_image_nothing_is_written(run, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no image")
    out = tmp_path / "out"
    save(out / "overlays" / "x.png")
    (out / "landmarks.csv").write_text("of an earlier call")
    with pytest.raises(LmkitError, match=r"None of 2 images .* a\.jpg: it is not") as e:
        predict_files(run, [(n, tmp_path / n) for n in ("a.jpg", "b.jpg")], out)
    assert e.value.code == ExitCode.DATA
    with pytest.raises(LmkitError, match=r"^a\.jpg cannot be read: it is not an image"):
        predict_files(run, [("a.jpg", tmp_path / "a.jpg")], out)
    with pytest.raises(LmkitError, match="No image was given"):
        predict_files(run, [], out)
    assert (out / "landmarks.csv").read_text() == "of an earlier call"
    assert sorted(path.name for path in out.iterdir()) == ["landmarks.csv", "overlays"]
    with pytest.raises(LmkitError, match="None of 2"):
        predict_files(
            run, [(n, tmp_path / n) for n in ("a.jpg", "b.jpg")], tmp_path / "new" / "out"
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_stopped_midway_leaves_the_earlier_file(run, album, tmp_path, workers):
    def stop(done, total):
        if done > 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    predict_files(run, [("c.png", album / "c.png")], out)
    (album / "b.jpg").write_text("no image")
    before = (out / "landmarks.csv").read_text()
    with pytest.raises(KeyboardInterrupt):
        predict_files(run, find_images([album]), out, batch_size=1, workers=workers, progress=stop)
    assert (out / "landmarks.csv").read_text() == before
    assert {path.name for path in out.iterdir()} == {"landmarks.csv", "overlays"}


def test_the_drawing_shows_the_points_on_the_image(run, album, tmp_path):
    predict_files(run, [("c.png", album / "c.png")], tmp_path / "out")
    drawn = np.asarray(Image.open(tmp_path / "out" / "overlays" / "c.png.png"))
    original = np.asarray(Image.open(album / "c.png"))
    assert drawn.shape == original.shape
    # The last one is drawn on top.
    x, y = np.rint(run.predict(album / "c.png")[-1]).astype(int)
    assert tuple(drawn[y, x]) == colours(3)[-1]


NAMES = (
    *("a.png", "a", "b/a.png", "/b/a.png", "b//a.png", "./b/a.png", "b/../b/a.png", "../a.png"),
    *(
        "a.png/b",
        "a.png_/b",
        "celeba:1",
        "celeba_1",
        "celeba?1",
        "con",
        "_con",
        "",
        "..",
        "x" * 300,
    ),
    *("x" * 299 + "y", "\u00e9" * 150, "line\nbreak", "C:\\b\\a.png", "dot.", "dot_"),
)


def test_no_two_names_share_a_drawing_and_each_is_a_file_that_can_be_written(tmp_path):
    paths = {name: overlay_path(tmp_path, name) for name in NAMES}
    assert len({str(path).lower() for path in paths.values()}) == len(NAMES)
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("drawn")
        assert tmp_path in path.resolve().parents
        assert not set('<>:"|?*\\\n') & set(path.relative_to(tmp_path).as_posix())
    assert paths["b/a.png"] == tmp_path / "b" / "a.png.png"


@pytest.mark.parametrize("name", ["../../up.png", "/abs/olute.png", "a/../../../b.png"])
def test_no_name_leads_a_drawing_out_of_its_folder(run, album, tmp_path, name):
    out = tmp_path / "deep" / "out"
    before = set(tmp_path.rglob("*"))
    predict_files(run, [(name, album / "c.png")], out)
    new = [path for path in tmp_path.rglob("*.png") if path not in before]
    assert len(new) == 1
    assert out / "overlays" in new[0].parents


def test_drawings_can_be_left_out(run, album, tmp_path):
    predict_files(run, find_images([album]), tmp_path / "out", overlays=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["landmarks.csv"]


def test_a_file_in_the_way_is_named(run, album, tmp_path):
    with pytest.raises(LmkitError, match=r"c\.png.* cannot be written") as caught:
        predict_files(run, find_images([album]), album / "c.png" / "out")
    assert caught.value.code == ExitCode.STORAGE


def test_a_full_disk_keeps_what_was_there(run, album, tmp_path, monkeypatch):
    out = tmp_path / "out"
    predict_files(run, [("c.png", album / "c.png")], out)
    before = (out / "landmarks.csv").read_text()

    def full(*_, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(LmkitError, match="No space left on device") as caught:
        predict_files(run, find_images([album]), out)
    assert caught.value.code == ExitCode.STORAGE
    assert (out / "landmarks.csv").read_text() == before
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_drawing_that_cannot_be_written_is_named(run, album, tmp_path, workers):
    out = tmp_path / "out"
    out.mkdir()
    (out / "overlays").write_text("in the way")
    with pytest.raises(LmkitError, match=r"c\.png\.png cannot be written") as caught:
        predict_files(run, find_images([album]), out, workers=workers)
    assert caught.value.code == ExitCode.STORAGE
    assert [path.name for path in out.iterdir()] == ["overlays"]


def test_names_of_any_bytes_are_written_as_they_are(run, album, tmp_path):
    name = b"odd-\xff.png".decode("utf-8", "surrogateescape")
    try:
        (album / name).hardlink_to(album / "c.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    (album / name.replace("png", "jpg")).write_text("no image")
    out = predict_files(run, find_images([album]), tmp_path / "out", overlays=False).landmarks
    assert b"\nodd-\xff.png," in out.read_bytes().replace(b"\r", b"")
    assert b"odd-\xff.jpg," in (out.parent / "unreadable.csv").read_bytes()
    out = predict_files(run, find_images([album]), tmp_path / "out", form="json").landmarks
    assert name in [entry["file"] for entry in json.loads(out.read_text())]


def test_images_are_read_a_batch_at_a_time(run, album, tmp_path, monkeypatch):
    read = []
    real = sources.load_image

    def load(path):
        read.append(path)
        return real(path)

    monkeypatch.setattr(sources, "load_image", load)
    ahead = []
    found = [(f"{number}.png", album / "c.png") for number in range(7)]
    predict_files(
        run, found, tmp_path / "out", batch_size=2, overlays=False,
        progress=lambda done, total: ahead.append(len(read) - done),
    )  # fmt: skip
    assert ahead == [1, 0, 1, 0, 1, 0, 0, 0]


MEASURE = """
import sys
from pathlib import Path

from lmkit.cli.main import cli

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

run, out, *folders = sys.argv[1:]
for folder in folders:
    options = "--no-overlays --format json --device cpu --batch-size 16 --workers 0".split()
    cli.main(["predict", run, folder, "--out", out, *options], standalone_mode=False)
    print(peak(), file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_memory_does_not_grow_with_the_number_of_images(trained, tmp_path):
    image = save(tmp_path / "image.png", (8, 8))
    folders = [tmp_path / str(count) for count in (200, 2000)]
    for folder in folders:
        folder.mkdir()
        for number in range(int(folder.name)):
            (folder / f"{number:06}.png").hardlink_to(image)
        # A tenth cannot be read.
        for number in range(0, int(folder.name), 10):
            (folder / f"{number:06}.jpg").write_text("no image")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, trained, tmp_path / "out", *folders],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert len(json.loads((tmp_path / "out" / "landmarks.json").read_text())) == 2000
    few, many = (int(line) for line in done.stderr.splitlines() if line.isdecimal())
    assert many - few < 2000  # KiB, which is 1.1 for each image more


class Frames(Source):
    """Frames that nobody has counted, as a video's are."""

    in_memory = True

    def __iter__(self):
        for number in range(21):
            yield number, np.full((20, 30 + number, 3), number, np.uint8)

    def name(self, item):
        return f"frame:{item[0]}"

    def image(self, item):
        if item[0] == 4:
            raise OSError("it is torn")
        return item[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_another_source_is_a_class_and_need_not_know_its_number_of_images(run, tmp_path, workers):
    heard = []
    result = predict_images(
        run.predictor, Frames(), tmp_path, batch_size=4, workers=workers,
        progress=lambda *both: heard.append(both),
    )  # fmt: skip
    assert (result.images, result.reasons) == (20, {"frame:4": "it is torn"})
    assert heard[-1] == (21, None)
    written = read_csv(result.landmarks)
    assert written["frame:20"][:2] == (50, 20)
    assert len(list((tmp_path / "overlays").iterdir())) == 20
    assert not multiprocessing.active_children()


def test_a_dataset_goes_by_its_keys(run, tmp_path):
    dataset = own_data(run).dataset
    result = predict_images(run.predictor, DatasetImages(dataset), tmp_path)
    written = read_csv(result.landmarks)
    assert list(written) == [dataset.key(index) for index in range(len(dataset))]
    expected = run.predict(dataset.image(3))
    assert np.allclose(written[dataset.key(3)][2], expected, atol=2e-3)
    assert (tmp_path / "overlays" / f"{dataset.key(3)}.png").is_file()


def test_where_all_is_unreadable_whoever_wants_to_stop_is_heard(run, tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.png").write_text("no image")

    def stop(done, total):
        assert done == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(
            run, find_images([tmp_path]), tmp_path / "out", overlays=False, workers=2,
            progress=stop,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()
    assert not multiprocessing.active_children()
