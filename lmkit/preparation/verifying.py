"""Compares caches with the data they were made from, image by image, whatever their stamps say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmkit.data.cache.cache_folder import CacheEntry, Wanted, open_cache
from lmkit.data.cache.on_disk import CacheDamage, DiskCachedDataset
from lmkit.data.cache.record import UnusableError, read_record
from lmkit.data.framing import build_framer
from lmkit.data.workers import read_ahead, workers_to_read_all
from lmkit.errors import LmkitError
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import build_dataset
from lmkit.settings.layers import Layer, read_recipe
from lmkit.settings.recipes import QUICK_RECIPE
from lmkit.settings.settings import settle

_TOGETHER = 16  # images that are asked for at a time


@dataclass(slots=True)
class CacheVerdict:
    """How a cache compares with its data.

    Args:
        entry: The cache.
        damaged: Names of images whose cached pixels are not what was written.
        changed: Names of images that are not what they were when it was built.
        problem: Why it could not be compared, as the end of a sentence that begins with "it";
            empty if it was.
    """

    entry: CacheEntry
    damaged: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def sound(self) -> bool:
        """Whether every image was compared and is as it was."""
        return not (self.damaged or self.changed or self.problem)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "cache": self.entry.path.name,
            "data": self.entry.label,
            "images": self.entry.shape[0] if self.entry.shape else 0,
            "sound": self.sound,
            "damaged": self.damaged,
            "changed": self.changed,
            "problem": self.problem,
        }


def verify_cache(
    entry: CacheEntry,
    registry: Registry,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CacheVerdict:
    """Read and frame every image of a cache's data, and compare it with what is cached.

    Nothing is changed, in the cache or in the data.

    Args:
        entry: The cache.
        registry: Where the kind of data is looked up.
        progress: Called with the number of images done, and of all.
    """
    verdict = CacheVerdict(entry)
    try:
        cache = _open(entry, registry)
    except UnusableError as why:
        verdict.problem = str(why) or "is not whole"
        return verdict
    except LmkitError as error:
        verdict.problem = f"has data that cannot be opened: {error.problem}"
        return verdict
    count = len(cache)
    starts = range(0, count, _TOGETHER)
    groups = [tuple(range(start, min(start + _TOGETHER, count))) for start in starts]
    done = 0
    for group, found in zip(
        groups, read_ahead(_Comparer(cache), groups, workers_to_read_all(None, count)), strict=True
    ):
        for index, damage in found.items():
            (verdict.damaged if damage == "damaged" else verdict.changed).append(cache.key(index))
        done += len(group)
        progress(done, count)
    return verdict


def _open(entry: CacheEntry, registry: Registry) -> DiskCachedDataset:
    record = read_record(entry.path)
    layer = Layer(f"{entry.path}", record.get("settings") or {})
    settings = settle([*read_recipe(QUICK_RECIPE, registry), layer], registry)
    wanted = Wanted(
        build_dataset(settings, registry),
        build_framer(settings),
        source=record.get("source") or {},
        label=str(record["label"]),
        package=str(record["made_with"].get("package")),
    )
    return open_cache(entry.path, wanted, compare=False)


@dataclass(frozen=True, slots=True)
class _Comparer:
    """Compares a group of images; lives in the worker processes."""

    cache: DiskCachedDataset

    def __call__(self, group: Sequence[int]) -> dict[int, CacheDamage]:
        found = {index: self.cache.compare(index) for index in group}
        return {index: damage for index, damage in found.items() if damage is not None}
