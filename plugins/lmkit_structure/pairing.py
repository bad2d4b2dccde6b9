"""The method's pairing: every image is redrawn into itself."""

from lmkit.api import Pairing, Route


class Itself(Pairing):
    """An image and itself, as in an autoencoder (Zhang et al. 2018).

    This asks for landmarks only where the generator sees nothing else of the image than what the
    landmarks say, as ``structure`` does; another would copy the image.
    """

    def routes(self) -> tuple[Route, ...]:
        """See [Pairing][lmkit.api.Pairing]."""
        return (Route("original", (), "original"),)
