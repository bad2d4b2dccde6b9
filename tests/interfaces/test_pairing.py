from collections import Counter

import pytest
import torch

from lmkit.interfaces.pairing import Pairing, Route, derangement


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(batch, subjects=None, seed=0):
    groups = None if subjects is None else torch.tensor(subjects)
    return derangement(batch, groups, seeded(seed)).tolist()


def collisions(result, subjects):
    return sum(subjects[i] == subjects[other] for i, other in enumerate(result))


def random_subjects(batch, seed):
    """Return the subjects of a batch, few or many, in any order and with any numbers."""
    generator = seeded(seed)
    count = int(torch.randint(1, batch + 1, (), generator=generator))
    return (torch.randint(0, count, (batch,), generator=generator) * 7 - 3).tolist()


@pytest.mark.parametrize("batch", range(2, 18))
def test_it_is_a_permutation_that_leaves_nobody_in_place(batch):
    for seed in range(20):
        for subjects in (None, random_subjects(batch, seed)):
            result = draw(batch, subjects, seed)
            assert sorted(result) == list(range(batch))
            assert all(other != i for i, other in enumerate(result))


@pytest.mark.parametrize("batch", range(2, 18))
def test_an_auxiliary_is_another_subject_wherever_it_can_be(batch):
    for seed in range(60):
        subjects = random_subjects(batch, seed)
        largest = max(Counter(subjects).values())
        # Of the largest group, only as many can leave as there are others to go to.
        unavoidable = max(0, 2 * largest - batch)
        assert collisions(draw(batch, subjects, seed), subjects) == unavoidable


@pytest.mark.parametrize(
    ("subjects", "unavoidable"),
    [
        ([5, 5, 9, 9], 0),
        ([1, 2, 1, 2, 1, 2], 0),
        ([1, 1, 1, 2], 2),
        ([1, 1, 1, 2, 3], 1),
        ([4, 4, 4], 3),
        ([0, 0], 2),
    ],
)
def test_cases_that_can_be_counted_by_hand(subjects, unavoidable):
    for seed in range(10):
        assert collisions(draw(len(subjects), subjects, seed), subjects) == unavoidable


def test_it_is_a_function_of_the_generator():
    subjects = [0, 0, 1, 2, 3, 3, 4, 5]
    for groups in (None, subjects):
        assert draw(8, groups, seed=3) == draw(8, groups, seed=3)
        assert len({tuple(draw(8, groups, seed)) for seed in range(20)}) > 10


@pytest.mark.parametrize(
    "subjects",
    [None, [10, 20, 30, 40, 50, 60], [1, 1, 2, 2, 3, 3], [3, 1, 2, 3, 1, 2]],
    ids=["unknown", "all different", "in pairs", "in pairs, mixed"],
)
def test_every_possible_auxiliary_is_equally_likely(subjects):
    draws = 3000
    counts = torch.zeros(6, 6)
    for seed in range(draws):
        counts[torch.arange(6), torch.tensor(draw(6, subjects, seed))] += 1
    for i in range(6):
        possible = [
            j for j in range(6) if j != i and (subjects is None or subjects[i] != subjects[j])
        ]
        # Four standard deviations of a binomial draw.
        share = 1 / len(possible)
        room = 4 * (share * (1 - share) / draws) ** 0.5
        assert all(abs(counts[i, j].item() / draws - share) < room for j in possible)
        assert counts[i].sum() == counts[i, possible].sum()


@pytest.mark.parametrize("subjects", [[0, 0, 1, 2, 3, 4], [0, 0, 1, 1, 2, 3]])
def test_every_possible_auxiliary_occurs_whatever_the_groups(subjects):
    groups, draws = torch.tensor(subjects), 1000
    counts = torch.zeros(6, 6)
    for seed in range(draws):
        counts[torch.arange(6), torch.tensor(draw(6, subjects, seed))] += 1
    for i in range(6):
        possible = counts[i][groups != groups[i]] / draws
        assert (possible * len(possible)).min() > 0.4


def test_neighbours_by_number_are_not_neighbours_by_choice():
    """Not only who is drawn varies, but also who is drawn together."""
    drawn = {tuple(draw(6, [10, 20, 30, 40, 50, 60], seed)) for seed in range(500)}
    assert len(drawn) > 100


@pytest.mark.parametrize("batch", [0, 1])
def test_alone_there_is_nobody_else(batch):
    with pytest.raises(ValueError, match=f"a batch of {batch} has no other image"):
        draw(batch)


class Through(Pairing):
    def __init__(self, *views):
        self.views = views

    def routes(self):
        return (Route("original", self.views, "deformed"),)


def test_a_route_knows_its_stops_and_prints_them():
    route = Route("original", ("auxiliary",), "deformed")
    assert route.stops == ("original", "auxiliary", "deformed")
    assert str(route) == "original -> auxiliary -> deformed"
    assert str(Route("deformed", (), "original")) == "deformed -> original"


def test_an_auxiliary_is_drawn_only_where_a_route_passes_through_it():
    assert not Through().uses_auxiliary
    assert Through().auxiliary(1, None, seeded()) is None
    pairing = Through("auxiliary")
    assert pairing.uses_auxiliary
    assert torch.equal(pairing.auxiliary(8, None, seeded(5)), derangement(8, None, seeded(5)))
