import pytest

from lmkit.seeds import derive


def test_seeds_are_the_same_on_every_machine_and_in_every_version():
    # A run is resumed exactly, and its split is found again, only while these stay.
    assert derive(0) == 4761921975702974394
    assert derive(7, 3, 0, "deformation") == 2257740205668505540


def test_every_word_and_its_place_counts():
    seeds = [
        *(derive(0), derive(1), derive(0, 0), derive(0, 1), derive(0, 0, 1), derive(0, 1, 0)),
        *(derive(0, "a"), derive(0, "b"), derive(0, "a", "b"), derive(0, "ab"), derive(0, 11)),
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("seed", [0, -1, 2**80])
def test_seeds_fit_every_generator(seed):
    assert all(0 <= derive(seed, step) < 2**63 for step in range(100))


def test_seeds_are_spread_evenly():
    share = sum(derive(0, step) >> 62 for step in range(2000)) / 2000
    assert share == pytest.approx(0.5, abs=0.05)
