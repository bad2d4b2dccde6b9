"""What pairings promise."""

from collections import Counter

import torch
from torch import Tensor

from lmkit.interfaces.pairing import VIEWS, Pairing, Route
from lmkit.testing.check import expect, promise
from lmkit.testing.inputs import seeded
from lmkit.testing.subject import Subject


@promise(
    "routes",
    "pairing",
    remedy=f"Return a tuple of lmkit.api.Route over the views {', '.join(VIEWS)}, each route once.",
)
def routes(subject: Subject) -> None:
    """Its routes are well formed, each named once, and the same at every call."""
    pairing: Pairing = subject.build()
    asked = pairing.routes()
    kind = isinstance(asked, tuple) and all(isinstance(route, Route) for route in asked)
    expect(kind, subject, "a tuple of Route", repr(asked))
    for route in asked:
        unknown = [str(stop) for stop in route.stops if stop not in VIEWS]
        expect(not unknown, subject, f"stops among {', '.join(VIEWS)}", ", ".join(unknown))
        expect(isinstance(route.via, tuple), subject, "via as a tuple", repr(route.via))
    twice = [str(route) for route in asked if asked.count(route) > 1]
    expect(not twice, subject, "each route once", "; ".join(twice))
    expect(pairing.routes() == asked, subject, f"the routes {asked} again", pairing.routes())


@promise(
    "auxiliary",
    "pairing",
    remedy="Leave auxiliary() to Pairing, or draw it with lmkit.api.derangement.",
)
def auxiliary(subject: Subject) -> None:
    """Each image's auxiliary is another one, of another subject wherever there can be one."""
    for subjects in (
        None,
        [7, 7, 3, 3, 5, 5, 1, 1],
        [2, 2, 2, 2, 9, 4, 4, 9],
        [1, 1, 1, 1, 1, 1, 0, 0],
    ):
        for number in range(10):
            _check_auxiliary(subject, 8, subjects, number)


@promise("batch of two", "pairing", remedy="In a batch of two, each is the other's auxiliary.")
def batch_of_two(subject: Subject) -> None:
    """Two images are enough, of one subject or of two."""
    for subjects in (None, [0, 1], [0, 0]):
        _check_auxiliary(subject, 2, subjects, 0)


@promise("repeatable", "pairing", remedy="Draw from the generator that is given, and nowhere else.")
def pairing_repeatable(subject: Subject) -> None:
    """The same generator chooses the same auxiliaries, whatever was drawn before."""
    pairing: Pairing = subject.build()
    first = pairing.auxiliary(8, None, seeded("repeatable"))
    pairing.auxiliary(8, None, seeded("something else"))
    second = pairing.auxiliary(8, None, seeded("repeatable"))
    equal = (first is None and second is None) or (
        first is not None and second is not None and torch.equal(first, second)
    )
    expect(equal, subject, f"{_listed(first)} again", _listed(second))


def _check_auxiliary(subject: Subject, batch: int, subjects: list[int] | None, number: int) -> None:
    pairing: Pairing = subject.build()
    groups = None if subjects is None else torch.tensor(subjects)
    chosen = pairing.auxiliary(batch, groups, seeded("auxiliary", number))
    if not pairing.uses_auxiliary:
        expect(chosen is None, subject, "no auxiliary, since no route uses one", _listed(chosen))
        return
    expect(chosen is not None, subject, "an auxiliary, since a route uses one", "none")
    assert chosen is not None
    fits = chosen.shape == (batch,) and chosen.dtype == torch.int64
    expect(
        fits,
        subject,
        f"({batch},) numbers in torch.int64",
        f"{tuple(chosen.shape)}, {chosen.dtype}",
    )
    picked = chosen.tolist()
    each_once = sorted(picked) == list(range(batch))
    expect(each_once, subject, f"each of {batch} images once", picked)
    own = [i for i, other in enumerate(picked) if i == other]
    expect(not own, subject, "another image for each", f"images {own} guiding themselves")
    if subjects is not None:
        alike = sum(subjects[i] == subjects[other] for i, other in enumerate(picked))
        least = max(0, 2 * max(Counter(subjects).values()) - batch)
        wanted = f"{least} pairs of one subject among {subjects}"
        expect(alike <= least, subject, wanted, f"{alike} in {picked}")


def _listed(chosen: Tensor | None) -> str:
    return "none" if chosen is None else str(chosen.tolist())
