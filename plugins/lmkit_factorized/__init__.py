"""Unsupervised Learning of Object Landmarks by Factorized Spatial Embeddings.

The method of Thewlis, Bilen and Vedaldi (ICCV 2017) as a plugin: its detector and its two losses,
written against ``lmkit.api`` alone. Nothing is redrawn: there is no generator and no route.
"""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "2.0"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the method's parts."""
    return [
        Component(
            "detector",
            "factorized",
            "lmkit_factorized.detector:Factorized",
            "six plain convolutions, score maps at half the side (Thewlis 2017)",
        ),
        Component(
            "loss",
            "factorized-equivariance",
            "lmkit_factorized.losses:Equivariance",
            "expected squared distance between both views' landmarks, under the warp",
        ),
        Component(
            "loss",
            "factorized-diversity",
            "lmkit_factorized.losses:Diversity",
            "how much of the probability maps lies on one another",
        ),
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes, which are TOML files in this package."""
    return [
        Recipe("factorized", __name__, "Thewlis et al. 2017: equivariance and diversity"),
        Recipe("factorized-quick", __name__, "factorized as small as quickstart"),
    ]
