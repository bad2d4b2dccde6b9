"""Caches of images: the same batches, bit for bit, whatever becomes of the files."""

import errno
import json
import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from lmkit.data.cache import cache_folder as module
from lmkit.data.cache.cache_folder import (
    Wanted,
    build_cache,
    list_caches,
    open_cache,
    remove_cache,
    take_repairs,
)
from lmkit.data.cache.lock import locked
from lmkit.data.cache.on_disk import DiskCachedDataset
from lmkit.data.cache.record import UnusableError
from lmkit.data.crops import AnnotatedBox
from lmkit.data.framing import Framer
from lmkit.data.loading import TrainingBatches, read_images
from lmkit.data.sets.folder import Folder
from lmkit.data.sets.table import CsvTable
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset

FRAMER = Framer(16)
forks = pytest.mark.skipif(sys.platform != "linux", reason="needs processes that fork")


def paint(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (20 + seed % 3, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """Twelve images, one of them damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        paint(folder / f"{number:02}.png", number)
    content = (folder / "05.png").read_bytes()
    (folder / "05.png").write_bytes(content[: len(content) // 2])
    return folder


def wanted(photos: Path, framer: Framer = FRAMER) -> Wanted:
    source = {"name": "folder", "path": str(photos)}
    return Wanted(Folder(path=photos), framer, source, f"folder:{photos}", "lmkit 1.0")


def build(folder: Path, what: Wanted, workers: int = 0) -> DiskCachedDataset:
    def wait() -> None:
        raise AssertionError("somebody else is building")

    cache, _ = build_cache(
        folder, what, workers=workers, progress=lambda done, total: None, waiting=wait
    )
    return cache


def batches(data, workers=0, **changes):
    settings = {"framer": FRAMER, "batch_size": 4, "seed": 0, "start": 0, "stop": 6, **changes}
    return list(TrainingBatches(data, range(len(data)), workers=workers, **settings))


def check_same(cached, plain, workers=0, **changes):
    pairs = zip(batches(cached, workers, **changes), batches(plain, **changes), strict=True)
    for one, other in pairs:
        assert torch.equal(one.images, other.images)
        assert one.images.is_contiguous()
        assert (one.indices, one.unreadable) == (other.indices, other.unreadable)
        if other.points is not None:
            torch.testing.assert_close(one.points, other.points, rtol=0, atol=0, equal_nan=True)


def images_of(folder: Path) -> Path:
    return folder / json.loads((folder / "cache.json").read_text())["images"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_batches_are_the_same_with_and_without_it(photos, tmp_path, fit, workers):
    framer = Framer(16, fit)
    cache = build(tmp_path / "cache", wanted(photos, framer), workers)
    check_same(cache, Folder(path=photos), workers, framer=framer)
    assert take_repairs(cache) == 0


def test_points_and_crops_from_annotation_are_the_same(tmp_path):
    rows = ["file,x0,y0,x1,y1"]
    for number in range(8):
        paint(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{3 + number},4,12,{9 + number}")
    table = tmp_path / "points.csv"
    table.write_text("\n".join(rows))
    framer = Framer(16, "pad", AnnotatedBox(0.5))
    what = Wanted(CsvTable(path=table), framer, {"name": "csv"}, "csv", "lmkit 1.0")
    cache = build(tmp_path / "cache", what)
    check_same(cache, CsvTable(path=table), framer=framer, annotated=True)
    # The crop is made from the points, so that another point makes another image.
    table.write_text("\n".join(rows).replace("0.png,3,4", "0.png,2,4"))
    moved = Wanted(CsvTable(path=table), framer, {"name": "csv"}, "csv", "lmkit 1.0")
    with pytest.raises(UnusableError, match="1 of 8 images have changed"):
        open_cache(tmp_path / "cache", moved, compare=True)


def test_images_to_evaluate_come_from_it_with_their_framings(photos, tmp_path, monkeypatch):
    cache, plain = build(tmp_path / "cache", wanted(photos)), Folder(path=photos)

    def read(data, framer=FRAMER):
        problems = Unreadable(1.0)
        given = {"framer": framer, "batch_size": 5, "unreadable": problems}
        return list(read_images(data, [3, 5, 1], **given)), problems.report()

    (found,), problems = read(cache)
    (expected,), expected_problems = read(plain)
    assert torch.equal(found.images, expected.images)
    assert (found.indices, found.framings) == (expected.indices, expected.framings)
    assert problems == expected_problems == [{"image": "05.png", "reason": problems[0]["reason"]}]
    # Of another size they are not in it.
    (larger,), _ = read(cache, Framer(20))
    assert torch.equal(larger.images, read(plain, Framer(20))[0][0].images)


def test_sound_images_are_not_decoded_again(photos, tmp_path, monkeypatch):
    cache = build(tmp_path / "cache", wanted(photos))
    read = []
    monkeypatch.setattr(Folder, "image", lambda self, index: read.append(index))
    for index in range(12):
        if index != 5:
            assert cache.framed(index, FRAMER) is not None
    assert read == []


def test_numpy_can_map_the_file(photos, tmp_path):
    build(tmp_path / "cache", wanted(photos))
    pixels = np.load(images_of(tmp_path / "cache"), mmap_mode="r", allow_pickle=False)
    assert pixels.shape == (12, 3, 16, 16)
    expected, _ = FRAMER(Folder(path=photos).image(2))
    np.testing.assert_array_equal(pixels[2].transpose(1, 2, 0), expected)


def test_a_cache_serves_a_process_that_starts_anew(photos, tmp_path):
    cache = build(tmp_path / "cache", wanted(photos))
    cache.framed(0, FRAMER)
    twin = pickle.loads(pickle.dumps(cache))
    assert torch.equal(twin.framed(3, FRAMER)[0], cache.framed(3, FRAMER)[0])


def change_size(photos, folder):
    paint(photos / "03.png", 99)


def change_time(photos, folder):
    status = (photos / "03.png").stat()
    os.utime(photos / "03.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def add(photos, folder):
    paint(photos / "12.png", 12)


def take_away(photos, folder):
    (photos / "03.png").unlink()


def rename(photos, folder):
    (photos / "03.png").rename(photos / "03b.png")


def mend(photos, folder):
    paint(photos / "05.png", 5)


def cut_short(photos, folder):
    os.truncate(images_of(folder), 5000)


def empty_table(photos, folder):
    next(folder.glob("table-*")).write_bytes(b"")


def damage_header(photos, folder):
    overwrite(images_of(folder), 20, b"x")


def lose_images(photos, folder):
    images_of(folder).unlink()


def damage_record(photos, folder):
    (folder / "cache.json").write_text('{"format": 1')


def other_record(photos, folder):
    (folder / "cache.json").write_text("[]")


def change_record(folder, **changes):
    record = json.loads((folder / "cache.json").read_text())
    (folder / "cache.json").write_text(json.dumps({**record, **changes}))


def other_format(photos, folder):
    """As lmkit wrote it before, with a header of its own instead of NumPy's."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": (12, 3, 16, 16)}).encode()
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117) + b"\n"
    pixels = images_of(folder).read_bytes()[-12 * 768 :]
    images_of(folder).write_bytes(header + pixels)
    change_record(folder, format=1)


def file_outside(photos, folder):
    change_record(folder, images="../photos/03.png")


def shape_of_words(photos, folder):
    change_record(folder, shape=["many", 3, 16, 16])


def deep_record(photos, folder):
    (folder / "cache.json").write_text("[" * 100_000)


def other_array(photos, folder):
    pixels = np.load(images_of(folder))
    with images_of(folder).open("wb") as file:
        np.save(file, pixels.view(np.int8))


def torn_header(photos, folder):
    overwrite(images_of(folder), 10, b"(" * 60)


def other_version(photos, folder):
    record = json.loads((folder / "cache.json").read_text())
    record["made_with"]["Pillow"] = "1.0"
    (folder / "cache.json").write_text(json.dumps(record))


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (change_size, "is out of date: 1 of 12 images have changed"),
        (change_time, "is out of date: 1 of 12 images have changed"),
        (add, "is out of date: it holds 12 images, and there are 13"),
        (take_away, "is out of date: it holds 12 images, and there are 11"),
        (rename, "is out of date: 1 of 12 images have changed"),
        (mend, "is out of date: 1 of 12 images have changed"),
        (cut_short, "is cut short"),
        (empty_table, "is damaged"),
        (damage_header, "is damaged"),
        (lose_images, "cannot be read: No such file"),
        (damage_record, "is damaged"),
        (file_outside, "is damaged"),
        (shape_of_words, "is damaged"),
        (deep_record, "is damaged"),
        (other_array, "is damaged"),
        (torn_header, "is damaged"),
        (other_record, "is damaged"),
        (other_format, "was written by another version of lmkit"),
        (other_version, "was made with Pillow 1.0, and here is"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_cut_short_damaged_or_out_of_date_is_noticed_and_rebuilt(
    photos, tmp_path, spoil, why
):
    folder = tmp_path / "cache"
    build(folder, wanted(photos))
    spoil(photos, folder)
    with pytest.raises(UnusableError, match=why):
        open_cache(folder, wanted(photos), compare=True)
    check_same(build(folder, wanted(photos)), Folder(path=photos), stop=2)
    assert open_cache(folder, wanted(photos), compare=True)
    assert len(list(folder.iterdir())) == 4, "the former files are gone"


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_pixels_are_noticed_and_put_right(photos, tmp_path, workers):
    folder = tmp_path / "cache"
    cache = build(folder, wanted(photos))
    sound = images_of(folder).read_bytes()
    for index in (2, 7):
        overwrite(images_of(folder), 128 + index * 768 + 100, b"damage")
    assert images_of(folder).read_bytes() != sound
    check_same(cache, Folder(path=photos), workers)
    assert images_of(folder).read_bytes() == sound
    assert take_repairs(cache) == 2
    assert take_repairs(cache) == 0


def test_a_file_that_is_cut_short_in_use_spoils_nothing(photos, tmp_path):
    folder = tmp_path / "cache"
    cache = build(folder, wanted(photos))
    os.truncate(images_of(folder), 3000)
    check_same(cache, Folder(path=photos))
    images_of(folder).unlink()
    check_same(pickle.loads(pickle.dumps(cache)), Folder(path=photos))


def test_who_reads_the_former_one_goes_on_when_it_is_rebuilt(photos, tmp_path):
    folder = tmp_path / "cache"
    cache = build(folder, wanted(photos))
    before = cache.framed(3, FRAMER)
    change_size(photos, folder)
    build(folder, wanted(photos))
    assert torch.equal(cache.framed(3, FRAMER)[0], before[0])


def test_without_looking_beforehand_each_image_is_compared_as_it_is_read(photos, tmp_path):
    folder = tmp_path / "cache"
    build(folder, wanted(photos))
    change_size(photos, folder)
    cache = open_cache(folder, wanted(photos), compare=False)
    check_same(cache, Folder(path=photos))
    assert cache.framed(3, FRAMER) is None


def in_a_process(work):
    """Begin to do something in a process of its own, as worker processes are begun."""
    process = multiprocessing.get_context("fork").Process(target=work)
    with warnings.catch_warnings():
        # A remark on forking beside threads, which this process does not use.
        warnings.simplefilter("ignore")
        process.start()
    return process


@forks
def test_two_that_build_at_once_build_it_once(photos, tmp_path):
    folder, said = tmp_path / "cache", tmp_path / "said"

    def say(word):
        with said.open("a") as file:
            file.write(f"{word}\n")

    def work():
        def progress(done, total):
            if done == 0:
                say("built")
                time.sleep(0.3)

        torch.set_num_threads(1)
        what = wanted(photos)
        build_cache(folder, what, workers=0, progress=progress, waiting=lambda: say("waited"))

    both = [in_a_process(work) for _ in range(2)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(said.read_text().split()) in (["built"], ["built", "waited"])
    check_same(open_cache(folder, wanted(photos), compare=True), Folder(path=photos))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_nothing_is_taken_from_another_build(photos, tmp_path, monkeypatch, number):
    import fcntl

    def refuse(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder = tmp_path / "cache"
    folder.mkdir()
    others = folder / "images-0a1b2c3d.npy"
    others.write_bytes(b"half of it")
    cache = build(folder, wanted(photos))
    assert others.exists()
    check_same(cache, Folder(path=photos))
    monkeypatch.undo()
    paint(photos / "00.png", 99)
    build(folder, wanted(photos))
    assert not others.exists()


def test_progress_comes_to_its_end_where_the_last_image_cannot_be_read(photos, tmp_path):
    (photos / "11.png").write_bytes(b"torn")
    told = []
    build_cache(
        tmp_path / "cache",
        wanted(photos),
        workers=0,
        progress=lambda done, total: told.append((done, total)),
        waiting=lambda: None,
    )
    assert told == [(0, 12), (11, 12), (12, 12)]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_one_that_cannot_be_read_after_it_was_built_is_told_of(
    photos, tmp_path, monkeypatch, number
):
    written, opened = [], os.open

    def open_(path, *rest, **options):
        if str(path).endswith("cache.json") and written:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", open_)
    with pytest.raises(LmkitError, match="was built, and cannot be used all the same") as caught:
        build_cache(
            tmp_path / "cache",
            wanted(photos),
            workers=0,
            progress=lambda done, total: written.append(done),
            waiting=lambda: None,
        )
    assert caught.value.code == ExitCode.STORAGE
    assert "loading.cache=none" in caught.value.remedy
    monkeypatch.undo()
    check_same(build(tmp_path / "cache", wanted(photos)), Folder(path=photos))


@forks
def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_a_cache(photos, tmp_path):
    folder = tmp_path / "cache"

    def work():
        def die(done, total):
            if done:
                os.kill(os.getpid(), signal.SIGKILL)

        torch.set_num_threads(1)
        module._TOGETHER = 4
        build_cache(folder, wanted(photos), workers=0, progress=die, waiting=lambda: None)

    process = in_a_process(work)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert list(folder.glob("images-*"))
    with pytest.raises(UnusableError):
        open_cache(folder, wanted(photos), compare=True)
    check_same(build(folder, wanted(photos)), Folder(path=photos))
    assert len(list(folder.iterdir())) == 4


def test_a_full_disk_is_named_and_leaves_the_former_one(photos, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    build(folder, wanted(photos))
    before = sorted(path.name for path in folder.iterdir())
    change_size(photos, folder)

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "flush", full)
    with pytest.raises(LmkitError, match="cannot be written: No space left") as caught:
        build(folder, wanted(photos))
    assert caught.value.code == ExitCode.STORAGE
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_build_that_comes_to_nothing_leaves_nothing(photos, tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "flush", full)
    with pytest.raises(LmkitError, match="No space left"):
        build(tmp_path / "caches" / "a", wanted(photos))
    assert not (tmp_path / "caches").exists()
    # And where a build was killed before, but for what that one left.
    (tmp_path / "caches" / "a").mkdir(parents=True)
    (tmp_path / "caches" / "a" / "cache.lock").touch()
    with pytest.raises(LmkitError, match="No space left"):
        build(tmp_path / "caches" / "a", wanted(photos))
    assert not (tmp_path / "caches" / "a").exists()


@forks
def test_who_waits_for_a_build_that_comes_to_nothing_builds_it(photos, tmp_path):
    folder, said = tmp_path / "cache", tmp_path / "said"
    folder.mkdir()

    def work():
        torch.set_num_threads(1)
        build_cache(
            folder,
            wanted(photos),
            workers=0,
            progress=lambda done, total: None,
            waiting=lambda: said.write_text("waiting"),
        )

    with locked(folder, lambda: None) as held:
        assert held
        process = in_a_process(work)
        end = time.monotonic() + 30
        while not said.exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert said.exists()
    # Let go of, with nothing in it, it is gone; the other one makes it again.
    process.join(60)
    assert process.exitcode == 0
    check_same(open_cache(folder, wanted(photos), compare=True), Folder(path=photos), stop=2)


def test_where_open_files_cannot_be_removed_the_lock_goes_when_it_is_let_go_of(
    photos, tmp_path, monkeypatch
):
    home = tmp_path / "caches"
    build(home / "a", wanted(photos))
    (entry,) = list_caches(home)
    held, unlink, release = [True], Path.unlink, FileLock.release

    def refuse(self, missing_ok=False):
        if self.name == "cache.lock" and held:
            raise PermissionError(13, "The process cannot access the file")
        unlink(self, missing_ok)

    def let_go(self, force=False):
        held.clear()
        release(self, force)

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(FileLock, "release", let_go)
    remove_cache(entry)
    assert list(home.iterdir()) == []


def test_a_cache_of_another_version_is_listed_and_removed(photos, tmp_path):
    home = tmp_path / "caches"
    build(home / "a", wanted(photos))
    other_format(photos, home / "a")
    (entry,) = list_caches(home)
    assert (entry.label, entry.shape) == (f"folder:{photos}", (12, 3, 16, 16))
    remove_cache(entry)
    assert list(home.iterdir()) == []


def test_its_name_tells_data_and_framing_apart(photos, tmp_path):
    names = {
        wanted(photos).name,
        wanted(photos, Framer(17)).name,
        wanted(photos, Framer(16, "pad")).name,
        wanted(photos, Framer(16, crop=AnnotatedBox(0.5))).name,
        wanted(photos, Framer(16, crop=AnnotatedBox(0.6))).name,
        Wanted(Folder(path=photos), FRAMER, {"name": "folder", "path": "x"}, "", "").name,
    }
    assert len(names) == 6
    assert wanted(photos).name == wanted(photos).name


def test_caches_are_listed_and_removed_and_nothing_else(photos, tmp_path):
    home = tmp_path / "caches"
    assert list_caches(home) == []
    build(home / "a", wanted(photos))
    build(home / "b", wanted(photos))
    (home / "a" / "cache.json").unlink()
    os.utime(home / "a" / "cache.lock", (0, 0))
    for other in ("photos", "mine"):
        (home / other).mkdir()
        (home / other / "keep.txt").write_text("mine")
    (home / "mine" / "cache.lock").touch()
    first, second = list_caches(home)
    assert (first.path.name, first.shape) == ("b", (12, 3, 16, 16))
    assert first.bytes > 12 * 768
    assert (second.path.name, second.shape, second.used) == ("a", (), 0)
    remove_cache(first)
    remove_cache(second)
    assert sorted(path.name for path in home.iterdir()) == ["mine", "photos"]


def test_one_that_is_being_built_is_not_removed(photos, tmp_path):
    home = tmp_path / "caches"
    build(home / "a", wanted(photos))
    (entry,) = list_caches(home)
    refused = pytest.raises(LmkitError, match="is being built")
    with locked(entry.path, lambda: None), refused:
        remove_cache(entry)
    assert list_caches(home)


class Shades(Dataset):
    """As many images as one likes, in no memory."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def key(self, index):
        return str(index)

    def stamp(self, index):
        return ""

    def image(self, index):
        return np.full((128, 128, 3), index % 251, np.uint8)


def peak() -> int:
    """Return the most memory this process has held, pages of mapped files included, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@forks
def test_memory_stays_flat(tmp_path):
    def build_and_read(count):
        data, framer = Shades(count), Framer(128)
        cache = build(tmp_path / str(count), Wanted(data, framer, {"name": "x"}, "x", "1"), 1)
        given = {"framer": framer, "batch_size": 50, "seed": 0, "start": 0, "stop": count // 50}
        for batch in TrainingBatches(cache, range(count), **given):
            assert not batch.unreadable

    def work():
        torch.set_num_threads(1)
        build_and_read(200)
        before = peak()
        build_and_read(1500)
        (tmp_path / "growth").write_text(str(peak() - before))

    process = in_a_process(work)
    process.join(120)
    # The images take 72 MiB; of each, the table and the stamps have some tens of bytes.
    assert int((tmp_path / "growth").read_text()) < 8 * 1024


def test_time_of_use_is_kept(photos, tmp_path):
    folder = tmp_path / "caches" / "a"
    build(folder, wanted(photos))
    os.utime(folder / "cache.json", (5, 5))
    open_cache(folder, wanted(photos), compare=True)
    assert list_caches(folder.parent)[0].used > time.time() - 60
