"""The pairings of the paper and of its ablation: which image is redrawn into which."""

from lmkit.api import Pairing, Route


class Intra(Pairing):
    """An image and its own deformation: the paper's baseline (Li et al. 2020, Table I).

    Args:
        cycle: Whether the way back, from the deformed view to the original one, is asked for too
            (the row "w. Cycle").
    """

    def __init__(self, *, cycle: bool = False) -> None:
        self.cycle = cycle

    def routes(self) -> tuple[Route, ...]:
        """See [Pairing][lmkit.api.Pairing]."""
        there = Route("original", (), "deformed")
        back = Route("deformed", (), "original")
        return (there, back) if self.cycle else (there,)


class InterIntra(Pairing):
    """Through the landmarks of another subject: the paper's method (Li et al. 2020, section III).

    The image is first redrawn with the landmarks of an auxiliary image, another one of the
    same batch, and from there with the landmarks of its own other view. Nothing compares the
    image in between with anything; both ways use the same auxiliary.

    Args:
        cycle: Whether the way back, from the deformed view to the original one, is asked for too;
            without it this is the row "w. Inter-Subject" of Table I.
    """

    def __init__(self, *, cycle: bool = True) -> None:
        self.cycle = cycle

    def routes(self) -> tuple[Route, ...]:
        """See [Pairing][lmkit.api.Pairing]."""
        there = Route("original", ("auxiliary",), "deformed")
        back = Route("deformed", ("auxiliary",), "original")
        return (there, back) if self.cycle else (there,)
