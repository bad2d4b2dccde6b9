"""How the error falls with the number of labelled images that the regressor is fitted on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmkit.evaluation.detections import Detections
from lmkit.evaluation.measures import image_errors
from lmkit.evaluation.regression import Convention
from lmkit.points.linear import complete
from lmkit.seeds import derive

NUMBERS = (1, 5, 10, 100, 500, 1000, 5000)
"""The numbers of labelled images in the papers' tables."""
DRAWS = 10
"""Draws of so many images, where the convention does not say."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The error with some number of labelled images.

    Args:
        number: The number as it is named.
        images: How many images each draw fitted on; some conventions take one more.
        draws: How many draws there were.
        nme: The mean over draws, in percent.
        sd: The standard deviation over draws, of a sample; none of a single draw.
    """

    number: int
    images: int
    draws: int
    nme: float
    sd: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def few_labelled(
    fitting: Detections,
    testing: Detections,
    pair: tuple[int, int],
    convention: Convention,
    *,
    numbers: Sequence[int] = NUMBERS,
    draws: int = DRAWS,
    seed: int,
) -> list[Labelled]:
    """Fit on random draws of few images, and test each fit on all test images.

    Only images whose points are all known are drawn. Numbers that the data does not reach are
    left out. A draw is a function of the seed, the number and its own place alone.

    Args:
        fitting: Images to draw from.
        testing: Images to test on.
        pair: The two points whose distance normalises.
        convention: Says how to fit, how many images stand for N, and how often where it says so.
        numbers: The N.
        draws: How many draws where the convention does not say.
        seed: Decides the draws.
    """
    found, truth = fitting.found, fitting.truth_in_square()
    pool = np.flatnonzero(complete(truth))
    draws = draws if convention.draws is None else convention.draws
    rows = []
    for number in sorted(set(numbers)):
        size = number + convention.extra_images
        if size > len(pool):
            continue
        errors = []
        for draw in range(draws):
            generator = np.random.default_rng(derive(seed, "labelled", number, draw))
            own = generator.permutation(pool)[:size]
            predicted = convention.predict(found[own], truth[own], testing.found)
            own_errors = image_errors(testing.to_pixels(predicted), testing.truth, pair)
            errors.append(own_errors.mean())
        spread = float(np.std(errors, ddof=1)) if draws > 1 else None
        rows.append(Labelled(number, size, draws, float(np.mean(errors)), spread))
    return rows
