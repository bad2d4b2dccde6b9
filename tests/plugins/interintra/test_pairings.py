"""The four pairings give the routes of the paper's Table I."""

import pytest

from lmkit.api import Pairing, Route
from lmkit_interintra.pairings import InterIntra, Intra

FORTH = Route("original", (), "deformed")
BACK = Route("deformed", (), "original")
FORTH_OTHER = Route("original", ("auxiliary",), "deformed")
BACK_OTHER = Route("deformed", ("auxiliary",), "original")


@pytest.mark.parametrize(
    ("pairing", "routes"),
    [
        (Intra(), (FORTH,)),
        (Intra(cycle=True), (FORTH, BACK)),
        (InterIntra(cycle=False), (FORTH_OTHER,)),
        (InterIntra(), (FORTH_OTHER, BACK_OTHER)),
    ],
    ids=["baseline", "cycle", "inter-subject", "ours-all"],
)
def test_each_row_of_the_ablation_travels_its_routes(
    pairing: Pairing, routes: tuple[Route, ...]
) -> None:
    assert pairing.routes() == routes
