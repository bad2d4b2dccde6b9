"""Unsupervised Discovery of Object Landmarks as Structural Representations.

The method of Zhang, Guo, Jin, Luo, He and Lee (CVPR 2018) as a plugin: an image is taken apart
into landmarks and a short descriptor of what is at each, and put together again from these alone.
Written against ``lmkit.api`` alone.
"""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "2.0"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the method's parts."""
    parts = [
        (
            "detector",
            "structure",
            "detector:StructureDetector",
            "hourglass whose landmarks and background compete for every pixel",
        ),
        (
            "generator",
            "structure",
            "generator:StructureGenerator",
            "draws from landmarks and a descriptor of each, and sees no other pixel",
        ),
        ("pairing", "structure", "pairing:Itself", "an image and itself, as an autoencoder"),
        (
            "loss",
            "structure-concentration",
            "losses:Concentration",
            "keeps each landmark's probability map in one place",
        ),
        (
            "loss",
            "structure-separation",
            "losses:Separation",
            "keeps the landmarks of an image apart",
        ),
        (
            "loss",
            "structure-equivariance",
            "losses:Equivariance",
            "landmarks move as the image does",
        ),
    ]
    return [
        Component(kind, name, f"lmkit_structure.{target}", summary)
        for kind, name, target, summary in parts
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the method at its authors' size, at that of the quickstart, and for photographs."""
    return [
        Recipe("structure", __name__, "Zhang et al. 2018 in full: 80 pixels, 10 landmarks"),
        Recipe("structure-quick", __name__, "Zhang et al. 2018 at the size of quickstart"),
        Recipe("photos", __name__, "your own photographs, small enough for a CPU", minutes=8),
        Recipe(
            "photos-long",
            __name__,
            "as photos, with more landmarks and twice the steps",
            minutes=21,
        ),
    ]
