"""Measures what the cache of images brings and takes, on generated files: see docs/data.md.

    python benchmarks/measure_cache.py                    1,000 and 20,000 JPEGs of 250x250
    python benchmarks/measure_cache.py --kind png 1000     1,000 PNGs

For each number of files: how long they take to be read once, the images a second that one process
reads in batches from the files and from the cache (interleaved, the median of five), and the peak
of its memory.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from lmkit.data.cache.cache_folder import Wanted, build_cache
from lmkit.data.framing import Framer
from lmkit.data.loading import TrainingBatches
from lmkit.data.sets.folder import Folder
from lmkit.interfaces.dataset import Dataset

SIDE, SQUARE, BATCH = 250, 128, 32


def main() -> None:
    """Measure each number of files in a process of its own, so that each has its own peak."""
    parser = argparse.ArgumentParser(description="Measure the cache of images.")
    parser.add_argument("counts", type=int, nargs="*", default=[1000, 20_000])
    parser.add_argument("--kind", choices=("jpg", "png"), default="jpg")
    parser.add_argument("--here", action="store_true", help="Measure in this process.")
    given = parser.parse_args()
    for count in given.counts:
        if given.here:
            measure(count, given.kind)
        else:
            again = [sys.executable, __file__, "--here", "--kind", given.kind, str(count)]
            subprocess.run(again, check=True)


def measure(count: int, kind: str) -> None:
    """Write files, cache them, read them both ways, and print what that took."""
    with tempfile.TemporaryDirectory() as name:
        photos, folder = Path(name, "photos"), Path(name, "cache")
        photos.mkdir()
        paint(photos, count, kind)
        data, framer = Folder(path=photos), Framer(SQUARE)
        wanted = Wanted(data, framer, {"name": "folder"}, "photos", "lmkit")
        began = time.perf_counter()
        cache, _ = build_cache(
            folder, wanted, workers=2, progress=lambda done, total: None, waiting=lambda: None
        )
        built = time.perf_counter() - began
        # Every image once more, as an epoch of training reads them.
        speed(cache, framer, count // BATCH)
        both = [(speed(data, framer, 8), speed(cache, framer, 30)) for _ in range(5)]
        plain, cached = (median(rates) for rates in zip(*both, strict=True))
        print(
            f"{count} {kind}: built in {built:.0f} s; images/s from files {plain:.0f}, from the "
            f"cache {cached:.0f}, ratio {median(b / a for a, b in both):.1f}; peak of memory "
            f"{peak():.0f} MiB"
        )


def paint(photos: Path, count: int, kind: str) -> None:
    """Write images that are smooth here and rough there, as photographs are."""
    noise = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(noise.integers(0, 256, (24, 24, 3), np.uint8))
        pixels = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += noise.integers(-8, 9, (SIDE, SIDE, 1), np.int16)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(photos / f"{number:06}.{kind}")


def speed(data: Dataset, framer: Framer, steps: int) -> float:
    """Return the images a second that are read in batches."""
    batches = TrainingBatches(
        data, range(len(data)), framer=framer, batch_size=BATCH, seed=0, start=0, stop=steps
    )
    began = time.perf_counter()
    for batch in batches:
        assert not batch.unreadable
    return steps * BATCH / (time.perf_counter() - began)


def peak() -> float:
    """Return the most memory this process has held, mapped files included, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
