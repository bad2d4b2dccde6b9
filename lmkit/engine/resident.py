"""Whether the pictures that train lie on the device: ``loading.resident``.

Batches are the same wherever pictures lie, so that nothing here decides what a run computes.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from lmkit.config import Settings
from lmkit.data.resident import ResidentPictures
from lmkit.data.workers import workers_to_read_all
from lmkit.engine.assemble import build_framer
from lmkit.engine.observer import Observer
from lmkit.interfaces.dataset import Dataset

SHARE = 0.25
"""The share of the device's free memory that pictures may take; the rest is for training."""
PAYS = 2
"""How often a run has to read each picture, on average, before ``auto`` puts them on the device."""


def keep_on_device(
    dataset: Dataset,
    indices: Sequence[int],
    settings: Settings,
    device: torch.device,
    tell: Observer,
) -> Dataset:
    """Return data whose training pictures lie on the device, if they fit there and it pays.

    Args:
        dataset: The data.
        indices: The pictures that train.
        settings: The run's.
        device: Where it trains, with the networks there already.
        tell: Hears how far it is, and why they are not there if they were to be.
    """
    run, asked = settings.run, settings.loading.resident
    if asked == "never":
        return dataset
    if asked == "auto":
        # On the CPU a cache is as near.
        few = run.steps * run.batch_size < PAYS * len(indices)
        if device.type != "cuda" or few:
            return dataset
    needed, free = len(indices) * 3 * run.image_size**2, free_memory(device)
    if free is not None and needed > free * SHARE:
        tell.note(
            f"The {len(indices):,} pictures that train take {needed / 2**30:.1f} GiB, more than "
            f"{SHARE:.0%} of the {free / 2**30:.1f} GiB free on {device}: they are not kept there."
        )
        return dataset
    try:
        return ResidentPictures(
            dataset,
            indices,
            framer=build_framer(settings),
            device=device,
            workers=workers_to_read_all(settings.loading.workers, len(indices)),
            progress=lambda done, total: tell.prepared("to the device", done, total),
        )
    except torch.OutOfMemoryError:
        # What others take of the device may grow while pictures are read.
        tell.note(f"{device} has no room for the pictures that train: they are not kept there.")
        return dataset


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device; none where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None
