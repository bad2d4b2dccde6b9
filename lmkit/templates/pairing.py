"""A pairing: which reconstructions a step asks for, as data."""

from lmkit.api import Pairing, Route


class ThereAndBack(Pairing):
    """Redraws an image with another one's landmarks, and then again with its own.

    What comes back is compared with the image itself, so that nothing but the landmarks may
    change on the way.

    Args:
        direct: Whether the way to the deformed view is asked for, too; without it, nothing says
            which landmarks of the two views belong together.
    """

    def __init__(self, *, direct: bool = True) -> None:
        self.direct = direct

    def routes(self) -> tuple[Route, ...]:
        """Return one route or two, the same at every step."""
        back = Route("original", ("auxiliary",), "original")
        return (back, Route("original", (), "deformed")) if self.direct else (back,)
