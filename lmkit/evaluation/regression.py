"""Linear maps between discovered landmarks and annotated points, and the papers' choices of them.

The figures of two conventions are not comparable with one another. What a paper leaves open was
read off the code that its authors released. What a convention does not hold is that each paper
also crops in its own way, and measures distances in its crop.
"""

from dataclasses import dataclass
from typing import Any, Literal

from lmkit.errors import LmkitError, did_you_mean
from lmkit.points.linear import RIDGE, Array, LinearMap, PartialMap, Scale


@dataclass(frozen=True, slots=True)
class Convention:
    """How annotated points are predicted from landmarks.

    Args:
        name: What it is chosen by.
        summary: One line about it.
        bias: Whether the map has a bias.
        ridge: Relative strength of the ridge; 0 is least squares.
        relative_to: What the ridge is relative to.
        origin: Where a map without bias goes through: the upper left corner of the square image,
            or its centre. With bias it does not matter.
        extra_images: How many images are fitted on beyond the N that are named.
        draws: How many random draws of N images; the caller's choice if not given.
    """

    name: str
    summary: str
    bias: bool = True
    ridge: float = 0.0
    relative_to: Scale = "mean"
    origin: Literal["corner", "centre"] = "corner"
    extra_images: int = 0
    draws: int | None = None

    def predict(self, found: Array, truth: Array, new: Array) -> Array:
        """Fit the map from landmarks to annotated points, and apply it.

        Args:
            found: (N, K, 2), landmarks in [-1, 1] of the square images.
            truth: (N, P, 2), annotated points, the same; NaN where not known.
            new: (M, K, 2), landmarks to map, the same.

        Returns:
            (M, P, 2), in [-1, 1]; NaN for points that were known in no image.
        """
        # The origin of [-1, 1] is the centre; from the corner, the side goes from 0 to 2.
        shift = 1.0 if self.origin == "corner" else 0.0
        return PartialMap(found + shift, truth + shift, self.linear_map)(new + shift) - shift

    def linear_map(self, inputs: Array, outputs: Array) -> LinearMap:
        """Fit points that are all known, with the origin where it is."""
        return LinearMap(
            inputs, outputs, bias=self.bias, ridge=self.ridge, relative_to=self.relative_to
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: what a reader of a report needs to compare it."""
        return {
            "convention": self.name,
            "bias": self.bias,
            "ridge": self.ridge,
            "ridge_relative_to": self.relative_to if self.ridge else None,
            "origin": None if self.bias else self.origin,
        }

    def describe(self) -> str:
        """Return in words what a reader of a report needs to compare it."""
        kind = "with bias" if self.bias else f"without bias, origin at the {self.origin}"
        ridge = f"ridge {self.ridge:g} of the {self.relative_to} variance" if self.ridge else ""
        return f"{kind}, {ridge or 'no ridge'}"


LMKIT = Convention("lmkit", "lmkit's own: with bias, N means N, several draws", ridge=RIDGE)
LI2020 = Convention(
    "li2020",
    "Li et al. 2020: with bias, N+1 images, one draw",
    ridge=1e-5,
    relative_to="largest",
    extra_images=1,
    draws=1,
)
SANCHEZ2019 = Convention(
    "sanchez2019",
    "Sanchez and Tzimiropoulos 2019: with bias, N+1 images, ten draws",
    ridge=1e-5,
    relative_to="largest",
    extra_images=1,
    draws=10,
)
JAKAB2018 = Convention(
    "jakab2018",
    "Jakab et al. 2018: without bias, in pixels from the upper left corner",
    bias=False,
)
DVE2019 = Convention(
    "dve2019",
    "Thewlis et al. 2019 (DVE): without bias, in coordinates from the centre",
    bias=False,
    origin="centre",
)

CONVENTIONS = {each.name: each for each in (LMKIT, LI2020, SANCHEZ2019, JAKAB2018, DVE2019)}
"""Every convention by its name."""


def convention(name: str) -> Convention:
    """Return a convention by its name.

    Raises:
        LmkitError: If there is none of that name.
    """
    if name not in CONVENTIONS:
        raise LmkitError(
            f"There is no convention '{name}'.",
            remedy=did_you_mean(name, CONVENTIONS, all_of_them="The conventions are"),
        )
    return CONVENTIONS[name]
