"""Caches of images on the disk: built whole, found damaged or out of date, rebuilt, removed.

A cache is a folder of its own:

    cache.json              what it holds, from what and made with what; it names the other two
    images-TOKEN.npy        the squares, (N, 3, S, S), uint8
    table-TOKEN.bin         a row an image
    cache.lock              held by whoever builds

``cache.json`` is renamed into its place last, so that a folder holds a whole cache or None,
whenever a build is killed; and since each build has a token of its own, whoever reads the former
one goes on reading.
"""

import json
import os
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import __version__ as pillow_version
from PIL import features

from lmkit import __version__
from lmkit.data.cache.lock import LOCK, locked
from lmkit.data.cache.on_disk import ROW, DiskCachedDataset, repairs_of, stamp_of
from lmkit.data.cache.record import (
    CACHE_FORMAT,
    RECORD,
    UnusableError,
    check_record,
    is_own,
    load_record,
    read_header,
    read_record,
)
from lmkit.data.framing import Framer
from lmkit.data.loading import read_images
from lmkit.data.unreadable import Unreadable
from lmkit.data.workers import ProgressCallback
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.storage import flush, made, open_file, storage, write_json

_TOGETHER = 64  # images that a worker process hands over at a time


@dataclass(frozen=True)
class Wanted:
    """What a cache is to hold.

    Args:
        dataset: The data; all of its images are cached.
        framer: How they become squares.
        source: What the data is and where: JSON values. It decides the name of the cache.
        label: What to call the data.
        package: The package that reads the data, and its version.
        settings: The sections of settings that the data and the framer are made again from, to
            [verify][lmkit.preparation.verifying.verify_cache] the cache: JSON values.
    """

    dataset: Dataset
    framer: Framer
    source: Mapping[str, Any]
    label: str
    package: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the cache's folder is called."""
        words = json.dumps([self.source, repr(self.framer)], sort_keys=True)
        digest = blake2b(words.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
        kind = str(self.source["name"]).replace("/", "-")
        return f"{kind}-{self.framer.size}-{digest}"

    @property
    def made_with(self) -> dict[str, str]:
        """What else decides the pixels: another version may decode or frame otherwise."""
        jpeg = features.version_feature("libjpeg_turbo") or features.version_codec("jpg")
        return {
            "lmkit": __version__,
            "package": self.package,
            "Pillow": pillow_version,
            "libjpeg": str(jpeg),
        }

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the array of images, (N, 3, S, S)."""
        return (len(self.dataset), 3, self.framer.size, self.framer.size)

    @property
    def bytes(self) -> int:
        """What the cache takes on the disk, to within some kilobytes."""
        return int(np.prod(self.shape)) + len(self.dataset) * ROW.itemsize

    @cached_property
    def stamps(self) -> NDArray[np.uint64]:
        """What each image is made from now, as a number; (N,)."""
        count = len(self.dataset)
        stamps = (stamp_of(self.dataset, index, self.framer) for index in range(count))
        return np.fromiter(stamps, dtype=np.uint64, count=count)


class CacheEntry(NamedTuple):
    """A cache that lies in a folder of caches."""

    path: Path
    label: str
    """What the data is called."""
    shape: tuple[int, ...]
    """Of its array, (N, 3, S, S); empty if it is not whole."""
    bytes: int
    """What it takes on the disk."""
    used: float
    """When it was last opened or built, in seconds since 1970."""


def open_cache(folder: Path, wanted: Wanted, *, compare: bool) -> DiskCachedDataset:
    """Open a cache for reading, and verify everything but the pixels, which are when they are read.

    Args:
        folder: The cache's folder.
        wanted: What it is to hold.
        compare: Whether to look now whether any image has changed since; otherwise each is
            looked at when it is read.

    Raises:
        UnusableError: If there is no cache, or it is damaged or out of date.
    """
    record = read_record(folder)
    if record["made_with"] != wanted.made_with:
        was, now = record["made_with"], wanted.made_with
        other = next((key for key in now if was.get(key) != now[key]), "package")
        raise UnusableError(f"was made with {other} {was.get(other)}, and here is {now[other]}")
    if tuple(record["shape"]) != wanted.shape:
        held, here = ", ".join(map(str, record["shape"][:1])), wanted.shape[0]
        raise UnusableError(f"is out of date: it holds {held} images, and there are {here}")
    path = folder / record["images"]
    try:
        with open_file(folder / record["table"]) as file:
            content = file.read()
        with open_file(path) as file:
            start = read_header(file, wanted.shape)
        size = path.stat().st_size
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror or error}") from None
    if size != start + int(np.prod(wanted.shape)):
        raise UnusableError("is cut short")
    if zlib.crc32(content) != record["table_checksum"]:
        raise UnusableError("is damaged")
    table = np.frombuffer(content, ROW)
    if compare:
        changed = np.count_nonzero(table["stamp"] != wanted.stamps)
        if changed:
            count = f"{changed:,} of {len(table):,}"
            raise UnusableError(f"is out of date: {count} images have changed")
    with suppress(OSError):
        os.utime(folder / RECORD)
    return DiskCachedDataset(wanted.dataset, wanted.framer, table, path, start, fresh=compare)


def build_cache(
    folder: Path,
    wanted: Wanted,
    *,
    workers: int,
    progress: ProgressCallback,
    waiting: Callable[[], None],
) -> tuple[DiskCachedDataset, list[str]]:
    """Read and frame every image, and open the cache; unless another process has done so.

    Args:
        folder: The cache's folder.
        wanted: What it is to hold.
        workers: The number of processes that read.
        progress: Told how far it is.
        waiting: Called where another process is building it, before waiting for that.

    Returns:
        The cache, and the names of the images that could not be read; they are not in it.

    Raises:
        LmkitError: If it cannot be written, and nothing is left behind; or if it cannot be used
            although it was written, as where a drive fails or images change meanwhile.
    """
    with made(folder), locked(folder, waiting) as alone:
        try:
            return open_cache(folder, wanted, compare=True), []
        except UnusableError:
            unreadable = _write(folder, wanted, workers, progress, tidy=alone)
        try:
            return open_cache(folder, wanted, compare=True), unreadable
        except UnusableError as why:
            raise LmkitError(
                f"The cache {folder} was built, and cannot be used all the same: it {why}.",
                remedy="Look whether the drive is sound and the images stay as they are, or go "
                "without: --set loading.cache=none.",
                code=ExitCode.STORAGE,
            ) from None


def take_repairs(cache: DiskCachedDataset) -> int:
    """Return how many images proved damaged and were repaired since this was last asked."""
    log = repairs_of(cache.path)
    try:
        lines = log.read_text(encoding="utf-8").split()
        log.unlink()
    except OSError:
        return 0
    return len(set(lines))


def list_caches(folder: Path) -> list[CacheEntry]:
    """Return the caches in a folder of caches, the one last used first."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # What else lies there is never taken for a cache, and so never removed.
        if not (path / LOCK).is_file() or not all(map(is_own, path.iterdir())):
            continue
        size = sum(file.stat().st_size for file in path.iterdir())
        label, shape, lasting = "not whole", (), LOCK
        # One of another version of lmkit is whole as well.
        with suppress(UnusableError):
            record, lasting = check_record(load_record(path)), RECORD
            label, shape = str(record["label"]), tuple(record["shape"])
        used = (path / lasting).stat().st_mtime
        found.append(CacheEntry(path, label, shape, size, used))
    return sorted(found, key=lambda entry: -entry.used)


def remove_cache(entry: CacheEntry) -> None:
    """Remove a cache; processes that read it go on, from the data where need be.

    Raises:
        LmkitError: If it is being built, or cannot be removed.
    """

    def refuse() -> None:
        raise LmkitError(
            f"{entry.path} is being built.",
            remedy="Wait until it is, or end the process that builds it.",
            code=ExitCode.STORAGE,
        )

    with storage(entry.path), locked(entry.path, refuse):
        # The record first: what is left is then taken for no cache, wherever this ends.
        for path in sorted(entry.path.iterdir(), key=lambda path: path.name != RECORD):
            if path.name != LOCK:
                path.unlink()


def _write(
    folder: Path, wanted: Wanted, workers: int, progress: ProgressCallback, *, tidy: bool
) -> list[str]:
    """Write a new cache beside the former one, put it in its place, and return what is not in it.

    Args:
        folder: The cache's folder.
        wanted: What it is to hold.
        workers: The number of processes that read.
        progress: Told how far it is.
        tidy: Whether to remove what former builds left. Where nothing keeps a second build away, it
            may be what that one writes.

    Raises:
        LmkitError: If it cannot be written.
    """
    token = secrets.token_hex(4)
    images, table = folder / f"images-{token}.npy", folder / f"table-{token}.bin"
    unreadable = Unreadable(1.0)
    rows = np.zeros(len(wanted.dataset), ROW)
    # Before images are read: one that changes meanwhile is found out of date the next time.
    rows["stamp"] = wanted.stamps
    try:
        with storage(images), images.open("wb") as file:
            _write_images(file, wanted, rows, unreadable, workers, progress)
            flush(file)
        content = rows.tobytes()
        with storage(table), table.open("wb") as file:
            file.write(content)
            flush(file)
        record = {
            "format": CACHE_FORMAT,
            "label": wanted.label,
            "source": wanted.source,
            "settings": wanted.settings,
            "framer": repr(wanted.framer),
            "made_with": wanted.made_with,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "shape": wanted.shape,
            "images": images.name,
            "table": table.name,
            "table_checksum": zlib.crc32(content),
            "unreadable": unreadable.report(),
        }
        write_json(folder / RECORD, record)
    except BaseException:
        for path in (images, table):
            path.unlink(missing_ok=True)
        raise
    for path in folder.iterdir() if tidy else ():
        if is_own(path) and path.name not in (RECORD, LOCK, images.name, table.name):
            # Where open files cannot be removed, the next build does it.
            with suppress(OSError):
                path.unlink()
    return [entry["image"] for entry in unreadable.report()]


def _write_images(
    file: BinaryIO,
    wanted: Wanted,
    rows: NDArray[Any],
    unreadable: Unreadable,
    workers: int,
    progress: ProgressCallback,
) -> None:
    """Write the squares in order, a hole where an image cannot be read, and fill in the table."""
    npy.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": wanted.shape}
    )
    start = file.tell()
    each = int(np.prod(wanted.shape[1:]))
    count = len(wanted.dataset)
    batches = read_images(
        wanted.dataset,
        range(count),
        framer=wanted.framer,
        batch_size=_TOGETHER,
        workers=workers,
        unreadable=unreadable,
    )
    done = 0
    progress(done, count)
    for images, indices, framings in batches:
        for square, index, framing in zip(images.numpy(), indices, framings, strict=True):
            file.seek(start + index * each)
            file.write(square.data)
            row = rows[index]
            row["checksum"], row["readable"] = zlib.crc32(square.data), True
            row["scale"], row["offset"] = framing.scale, framing.offset
        done = indices[-1] + 1
        progress(done, count)
    if done < count:
        # The last ones cannot be read, and are in no batch.
        progress(count, count)
    file.truncate(start + count * each)
