"""Data that keeps squares of its images says of them what the data itself says."""

import inspect
from typing import Any

from lmkit.data.cache.cached import CachedDataset
from lmkit.data.framing import Framer
from lmkit.interfaces.dataset import Dataset


class Outspoken(Dataset):
    """Data that says something else than the defaults wherever it can."""

    in_memory = True
    point_names = ("nose",)
    normalising_pair = (3, 4)
    notes = ("A word.",)

    def __len__(self) -> int:
        return 7

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS:
            return lambda *arguments: (name, arguments)
        return super().__getattribute__(name)

    def key(self, index: int) -> str:
        raise NotImplementedError

    def image(self, index: int) -> Any:
        raise NotImplementedError


PUBLIC = [name for name in dir(Dataset) if not name.startswith("_")]
METHODS = [name for name in PUBLIC if inspect.isfunction(getattr(Dataset, name))]


def test_every_method_and_attribute_is_the_datas_own():
    source = Outspoken()
    kept = CachedDataset(source)
    assert len(kept) == 7
    for name in METHODS:
        count = len(inspect.signature(getattr(Dataset, name)).parameters) - 1
        arguments = tuple(range(count))
        assert getattr(kept, name)(*arguments) == (name, arguments)
    # The argument belongs to opening the data, which is over, and the kind to every dataset.
    for name in sorted({*PUBLIC} - {*METHODS, "argument", "component_kind"}):
        assert getattr(kept, name) == getattr(source, name) != getattr(Dataset, name)


def test_it_keeps_nothing_of_its_own_and_asks_what_it_wraps():
    class One(CachedDataset):
        def framed(self, index: int, framer: Framer) -> Any:
            return ("square", index) if index == 1 else super().framed(index, framer)

    outer = CachedDataset(One(Outspoken()))
    assert outer.framed(1, Framer(8)) == ("square", 1)
    assert outer.framed(2, Framer(8)) is None
