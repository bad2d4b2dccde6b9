"""Unsupervised Learning of Landmarks by Descriptor Vector Exchange.

The method of Thewlis, Albanie, Bilen and Vedaldi (ICCV 2019) as a plugin: a descriptor of every
pixel, learned by matching views through the image of somebody else, and landmarks read off the
descriptors by filters. Written against ``lmkit.api`` alone; nothing is redrawn, so that there is no
generator and no route.
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
            "dve",
            "lmkit_dve.detector:DescriptorDetector",
            "a descriptor of every pixel, and filters that find landmarks in them",
        ),
        Component(
            "loss",
            "dve-clusters",
            "lmkit_dve.clusters:Clusters",
            "shares all descriptors out evenly among the landmarks' filters",
        ),
        Component(
            "loss",
            "dve-exchange",
            "lmkit_dve.exchange:Exchange",
            "descriptors match between views, exchanged for those of another image",
        ),
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes, which are TOML files in this package."""
    return [
        Recipe("dve", __name__, "Thewlis et al. 2019: descriptor vector exchange"),
        Recipe("dve-quick", __name__, "dve as small as quickstart"),
    ]
