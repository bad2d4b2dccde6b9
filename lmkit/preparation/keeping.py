"""Whether the images of a run are cached on the disk, and where: ``loading.cache``.

Batches are the same with and without a cache, so that nothing here decides what a run computes.
"""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch

from lmkit.data.cache.cache_folder import (
    Wanted,
    build_cache,
    open_cache,
    take_repairs,
)
from lmkit.data.cache.cached import CachedDataset
from lmkit.data.cache.on_device import DeviceCachedDataset
from lmkit.data.cache.on_disk import DiskCachedDataset
from lmkit.data.cache.record import UnusableError
from lmkit.data.workers import workers_to_read_all
from lmkit.errors import ExitCode, LmkitError
from lmkit.preparation.prepared import Prepared
from lmkit.registry.lookup import Registry
from lmkit.registry.options import wanted_from_run
from lmkit.runtime.callback import Callback
from lmkit.storage import cache_place, storage

PAYS = 2
"""How often a run has to read each image, on average, before ``auto`` keeps them: in a cache on the
disk, or on the device."""
FRAMING = ("fit", "crop", "crop_share", "crop_margin")
"""The settings of loading that decide how images become squares."""
_SHARE = 0.5  # of the free disk, that auto may fill


def make_cache(ready: Prepared, registry: Registry, tell: Callback) -> Prepared:
    """Return data that is read from a cache, built where there is none that can be used.

    With ``auto`` that is done where it pays, and training goes on without one where it cannot be.

    Args:
        ready: The data, as it is to train.
        registry: Where its kind is looked up.
        tell: Hears what is built and why, and how far it is.

    Raises:
        LmkitError: If a folder was asked for, and the cache does not fit or cannot be written.
    """
    asked = ready.settings.loading.cache not in ("auto", "none")
    place = _place(ready, registry)
    if place is None:
        if asked and not ready.dataset.in_memory:
            tell.note("The data cannot say when its images change, so that they are not cached.")
        return ready
    folder, wanted = place
    try:
        cache = open_cache(folder, wanted, compare=True)
    except UnusableError as why:
        try:
            built = _build(folder, wanted, ready, str(why), tell)
        except LmkitError as error:
            if asked or error.code != ExitCode.STORAGE:
                raise
            tell.note(f"The images are not cached: {error.problem}")
            return ready
        if built is None:
            return ready
        cache = built
    ready = replace(ready, dataset=cache)
    tell_repairs(ready, tell)
    return ready


def use_cache(ready: Prepared, registry: Registry) -> Prepared:
    """Return data that is read from a cache if there is one; it is neither built nor rebuilt.

    Args:
        ready: The data.
        registry: Where its kind is looked up.
    """
    place = _place(ready, registry)
    if place is None:
        return ready
    try:
        return replace(ready, dataset=open_cache(*place, compare=False))
    except UnusableError:
        return ready


def tell_repairs(ready: Prepared, tell: Callback) -> None:
    """Say how many images of a cache proved damaged and were repaired."""
    if isinstance(ready.dataset, DiskCachedDataset) and (count := take_repairs(ready.dataset)):
        tell.note(
            f"Damaged images in the cache {ready.dataset.path.parent} were read again and "
            f"repaired: {count:,}. The disk may be failing."
        )


def in_bytes(count: float) -> str:
    """Return a size in words: ``1.5 GiB``."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        units.pop(0)
    return f"{count:.{0 if count >= 100 or units[0] == 'bytes' else 1}f} {units[0]}"


def _place(ready: Prepared, registry: Registry) -> tuple[Path, Wanted] | None:
    """Return where the cache lies and what it holds; None if there is to be none."""
    settings, dataset = ready.settings, ready.dataset
    if settings.loading.cache == "none" or dataset.in_memory or isinstance(dataset, CachedDataset):
        return None
    if len(dataset) == 0 or dataset.stamp(0) is None:
        return None
    entry = registry.find("dataset", settings.data["name"])
    given = {name: getattr(settings.run, name) for name in wanted_from_run(entry.load())}
    words = settings.to_dict()
    wanted = Wanted(
        dataset,
        ready.framer,
        source={**words["data"], **given},
        label=settings.data_label,
        package=f"{entry.plugin.package} {entry.plugin.version}",
        settings={
            "data": words["data"],
            "run": {**given, "image_size": settings.run.image_size},
            "loading": {name: words["loading"][name] for name in FRAMING},
        },
    )
    own = settings.loading.cache
    folder = cache_place() if own == "auto" else Path(own)
    return folder / wanted.name, wanted


def _build(
    folder: Path, wanted: Wanted, ready: Prepared, why: str, tell: Callback
) -> DiskCachedDataset | None:
    """Build a cache if it pays and fits; see [make_cache][lmkit.preparation.keeping.make_cache]."""
    settings, count = ready.settings, len(wanted.dataset)
    auto = settings.loading.cache == "auto"
    if auto and settings.run.steps * settings.run.batch_size < PAYS * count:
        return None
    free = _free(folder)
    if wanted.bytes > free * (_SHARE if auto else 1):
        problem = f"the cache takes {in_bytes(wanted.bytes)}, and {in_bytes(free)} are free"
        if auto:
            tell.note(f"The images are not cached: {problem} where {folder.parent} is.")
            return None
        raise LmkitError(
            f"loading.cache={folder.parent} has no room for it: {problem}.",
            remedy="Free some space, give another folder, or train with --set loading.cache=none.",
            code=ExitCode.STORAGE,
        )
    if why:
        tell.note(f"The cache {folder} {why}: it is rebuilt.")
    tell.note(
        f"Reading {count:,} images once, for the cache {folder} ({in_bytes(wanted.bytes)}; "
        "lmkit cache list)."
    )
    began = time.monotonic()
    cache, unreadable = build_cache(
        folder,
        wanted,
        workers=workers_to_read_all(settings.loading.workers, count),
        progress=lambda done, total: tell.prepared("reading", done, total),
        waiting=lambda: tell.note("Another process is building it: waiting for that."),
    )
    text = f"The images are cached ({time.monotonic() - began:.0f} s)"
    if unreadable:
        text += f", but for {len(unreadable):,} that cannot be read, such as {unreadable[0]}"
    tell.note(f"{text}.")
    return cache


def _free(folder: Path) -> int:
    """Return the free bytes where a folder is to be."""
    with storage(folder):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        return shutil.disk_usage(there).free


SHARE = 0.25
"""The share of the device's free memory that images may take; the rest is for training."""


def keep_on_device(ready: Prepared, device: torch.device, tell: Callback) -> Prepared:
    """Return data whose training images lie on the device, if they fit there and it pays.

    Args:
        ready: The data, as it is to train.
        device: Where it trains, with the networks there already.
        tell: Hears how far it is, and why they are not there if they were to be.
    """
    settings, indices = ready.settings, ready.split.train
    run, asked = settings.run, settings.loading.resident
    if asked == "never":
        return ready
    if asked == "auto":
        # On the CPU a cache is as near.
        few = run.steps * run.batch_size < PAYS * len(indices)
        if device.type != "cuda" or few:
            return ready
    needed, free = len(indices) * 3 * run.image_size**2, free_memory(device)
    if free is not None and needed > free * SHARE:
        tell.note(
            f"The {len(indices):,} images that train take {needed / 2**30:.1f} GiB, more than "
            f"{SHARE:.0%} of the {free / 2**30:.1f} GiB free on {device}: they are not kept there."
        )
        return ready
    try:
        images = DeviceCachedDataset(
            ready.dataset,
            indices,
            framer=ready.framer,
            device=device,
            workers=workers_to_read_all(settings.loading.workers, len(indices)),
            progress=lambda done, total: tell.prepared("to the device", done, total),
        )
    except torch.OutOfMemoryError:
        # What others take of the device may grow while images are read.
        tell.note(f"{device} has no room for the images that train: they are not kept there.")
        return ready
    return replace(ready, dataset=images)


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None
