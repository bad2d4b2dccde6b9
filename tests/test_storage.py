"""Files and folders that are there whole or not at all, on systems that answer differently."""

import errno
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmkit import storage
from lmkit.errors import ExitCode, LmkitError
from lmkit.settings.layers import read_assignments
from lmkit.storage import (
    file_stamp,
    flush,
    flush_file,
    flush_folder,
    made,
    open_file,
    open_text,
    put_in_place,
    read_json,
    write_json,
    write_text,
)


def test_a_folder_is_there_for_the_work_and_stays_after_it(tmp_path):
    with made(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "a" / "b").is_dir()


def test_work_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), made(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_or_was_written_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyError), made(tmp_path / "a"):
        raise KeyError
    assert (tmp_path / "a").is_dir()
    (tmp_path / "a" / "half.txt").write_text("half")
    with pytest.raises(KeyError), made(tmp_path / "a"):
        raise KeyError
    assert (tmp_path / "a" / "half.txt").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    unwritable = made(tmp_path / "file" / "below")
    with pytest.raises(LmkitError, match="file/below cannot be written") as caught, unwritable:
        pass
    assert caught.value.code == ExitCode.STORAGE


def refusing(call, answers):
    """Return a call of the system that first answers as ``answers`` says of its argument."""

    def refuse(subject, *arguments, **names):
        if (number := answers(subject)) is not None:
            raise OSError(number, os.strerror(number), str(subject))
        return call(subject, *arguments, **names)

    return refuse


def is_folder(handle):
    return stat.S_ISDIR(os.fstat(handle).st_mode)


def is_read_only(handle):
    import fcntl

    return fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def no_fsync(monkeypatch, number):
    """A file system that does not flush: some over the network, and FUSE's."""
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, lambda handle: number))


def no_folders(monkeypatch):
    """Windows, which opens no folder, and flushes nothing that is not open for writing."""
    monkeypatch.setattr(
        os, "open", refusing(os.open, lambda path: errno.EACCES if Path(path).is_dir() else None)
    )
    answer = refusing(os.fsync, lambda handle: errno.EBADF if is_read_only(handle) else None)
    monkeypatch.setattr(os, "fsync", answer)


def no_folder_flush(monkeypatch):
    """A system that opens a folder and refuses to flush it."""
    answer = refusing(os.fsync, lambda handle: errno.EINVAL if is_folder(handle) else None)
    monkeypatch.setattr(os, "fsync", answer)


SYSTEMS = {
    "no fsync (EINVAL)": lambda patch: no_fsync(patch, errno.EINVAL),
    "no fsync (ENOTSUP)": lambda patch: no_fsync(patch, errno.ENOTSUP),
    "Windows": no_folders,
    "no folder is flushed": no_folder_flush,
}
emulated = pytest.mark.skipif(sys.platform == "win32", reason="emulates Windows itself")


@emulated
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_training_saves_and_resumes_where_not_everything_is_flushed(
    system, tiny, tmp_path, monkeypatch, trained
):
    from lmkit.training.session import resume, start

    system(monkeypatch)
    start(tiny("run.checkpoint_every=2", "run.steps=2"), tmp_path / "run")
    resume(tmp_path / "run", [read_assignments(["run.steps=4"])])
    found, expected = (
        load_file(path / "checkpoints" / "step-4" / "detector.safetensors")
        for path in (tmp_path / "run", trained)
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_or_failing_disk_is_never_put_up_with(number, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("former", encoding="utf-8")
    no_fsync(monkeypatch, number)
    file = (tmp_path / "b.txt").open("w", encoding="utf-8")
    with file, pytest.raises(OSError, match=os.strerror(number)):
        flush(file)
    with pytest.raises(OSError, match=os.strerror(number)):
        flush_file(tmp_path / "a.txt")
    if sys.platform != "win32":
        with pytest.raises(OSError, match=os.strerror(number)):
            flush_folder(tmp_path)
    with pytest.raises(LmkitError, match=f"a.txt cannot be written: {os.strerror(number)}"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "former"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.txt"}


def test_a_file_or_folder_that_is_not_there_is_not_flushed_in_silence(tmp_path):
    for flush_it in (flush_file, flush_folder):
        with pytest.raises(FileNotFoundError):
            flush_it(tmp_path / "missing")


def in_use(monkeypatch, times, winerror=32):
    """A file that somebody has open, on Windows: so many times it cannot be replaced."""
    left = iter(range(times))
    replace = os.replace

    def answer(source, target):
        if next(left, None) is None:
            return replace(source, target)
        error = PermissionError(errno.EACCES, "The file is being used by another process")
        error.winerror = winerror
        raise error

    monkeypatch.setattr(os, "replace", answer)


def test_a_file_that_somebody_reads_is_replaced_when_it_is_let_go_of(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "former")
    in_use(monkeypatch, 3)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_a_file_that_is_never_let_go_of_is_named_and_stays(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "former")
    monkeypatch.setattr(storage, "_PATIENCE", 0.01)
    in_use(monkeypatch, 10**6)
    with pytest.raises(LmkitError, match=r"a\.txt cannot be written: The file is being used"):
        write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "former"


def test_a_refusal_that_is_final_is_not_waited_for(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "former")
    in_use(monkeypatch, 1, winerror=None)
    with pytest.raises(PermissionError):
        put_in_place(tmp_path / "a.txt", tmp_path / "b.txt")


def test_a_text_is_written_as_it_is(tmp_path):
    write_text(tmp_path / "a.txt", "one\ntwo\r\nüß 顔\n")
    assert (tmp_path / "a.txt").read_bytes() == "one\ntwo\r\nüß 顔\n".encode()


def test_json_is_read_as_it_was_written(tmp_path):
    content = {"a": [1, 2.5, float("inf"), None, True], "顔": {"b": 2**70}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


def check_refused(path, reason):
    with pytest.raises(LmkitError, match=rf"{path.name} cannot be read: {reason}") as caught:
        read_json(path)
    assert caught.value.code == ExitCode.RUN
    assert "restore the file" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b'{"a": "\xff"}', "'utf-8' codec"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"1" * 5000, "Exceeds the limit"),
    ],
    ids=["empty", "cut short", "no text", "lists in lists", "objects in objects", "long number"],
)
def test_what_is_no_json_is_refused(content, reason, tmp_path):
    (tmp_path / "run.json").write_bytes(content)
    check_refused(tmp_path / "run.json", reason)


def test_a_missing_file_is_named(tmp_path):
    check_refused(tmp_path / "run.json", "No such file or directory")


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LARGEST_JSON", 1000)
    (tmp_path / "run.json").write_text(json.dumps("x" * 998), encoding="utf-8")
    assert read_json(tmp_path / "run.json") == "x" * 998
    (tmp_path / "run.json").write_text(json.dumps("x" * 999), encoding="utf-8")
    check_refused(tmp_path / "run.json", "it is larger than 1,000 bytes")


def test_a_folder_named_like_the_file_is_refused(tmp_path):
    (tmp_path / "run.json").mkdir()
    check_refused(tmp_path / "run.json", "it is a folder, not a file")


@emulated
def test_a_pipe_or_device_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    check_refused(tmp_path / "run.json", "it is a pipe, not a file")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    check_refused(tmp_path / "zero.json", "it is a device, not a file")


@emulated
@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, kind):
    path = tmp_path / "a.jpg"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        path = Path("/dev/zero")
    with pytest.raises(OSError, match=f"it is a {kind}, not a file"):
        open_file(path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match=f"it is a {kind}, not a file"):
        open_text(tmp_path / "link")


@emulated
def test_a_file_that_becomes_a_pipe_is_refused_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    as_it_was = (tmp_path / "a").stat()
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    monkeypatch.setattr(storage.os, "stat", lambda path: as_it_was)
    with pytest.raises(OSError, match="it is a pipe"):
        open_file(tmp_path / "a")


@emulated
def test_a_file_that_is_leased_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    real, tried = os.open, []

    def leased(path, flags, *mode):
        tried.append(flags)
        if flags & os.O_NONBLOCK:
            raise BlockingIOError(errno.EAGAIN, "leased")
        return real(path, flags, *mode)

    monkeypatch.setattr(storage.os, "open", leased)
    with open_file(tmp_path / "a") as file:
        assert file.read() == b"text"
    assert len(tried) == 2


@emulated
def test_a_pipe_in_the_place_of_a_file_to_be_written_is_removed(tmp_path):
    os.mkfifo(tmp_path / ".a.json.partial")
    write_json(tmp_path / "a.json", [1])
    assert read_json(tmp_path / "a.json") == [1]
    (tmp_path / "other").write_text("other")
    (tmp_path / ".b.json.partial").symlink_to(tmp_path / "other")
    write_json(tmp_path / "b.json", [2])
    assert (tmp_path / "other").read_text() == "other"


SPACE = ("ENOSPC", "EDQUOT")
REMEDIES = {
    "EACCES": "permissions",
    "EPERM": "permissions",
    "EROFS": "Nothing can be written on that file system",
    "ENAMETOOLONG": "shorter name",
    "EMFILE": "ulimit -n",
    "ENFILE": "ulimit -n",
    "EIO": "disk or network drive",
    "ESTALE": "disk or network drive",
    "ENOTDIR": "a file and not a folder",
    "EISDIR": "A folder has that name",
    "EFBIG": "ulimit -f",
    "ENOENT": "is gone",
    "EBUSY": "Another program",
    "ECHILD": "Give a folder that can be written",
    **dict.fromkeys(SPACE, "Free some space"),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_an_error_of_writing_names_the_remedy_that_fits(tmp_path, name):
    with pytest.raises(LmkitError) as caught, storage.storage(tmp_path / "file"):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
    assert REMEDIES[name] in caught.value.remedy
    assert ("space" in caught.value.remedy) == (name in SPACE)
    assert caught.value.code == ExitCode.STORAGE


def test_a_file_that_is_replaced_with_its_size_and_time_has_another_stamp(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"first")
    before, status = file_stamp(path), path.stat()
    assert file_stamp(path) == before
    time.sleep(0.02)
    path.write_bytes(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    if sys.platform != "win32":
        assert file_stamp(path) != before


def test_text_of_names_that_are_no_utf_8_is_written_as_they_are(tmp_path):
    write_text(tmp_path / "a", "f\udce4lle\n")
    assert (tmp_path / "a").read_bytes() == b"f\xe4lle\n"


@emulated
def test_a_name_is_the_same_in_every_locale(tmp_path):
    for name in (b"\xc3\xa4", b"\xe4"):
        (tmp_path / os.fsdecode(name)).touch()
    words = (
        "import os, sys; from lmkit.storage import as_name, as_path; "
        "names = sorted(map(as_name, os.listdir(sys.argv[1]))); "
        "assert all(os.path.exists(os.path.join(sys.argv[1], as_path(name))) for name in names); "
        "print(ascii(names))"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for locale in ({"PYTHONUTF8": "1"}, plain):
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", words, str(tmp_path)],
            env={**os.environ, **path, **locale},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "['\\xe4', '\\udce4']\n"
