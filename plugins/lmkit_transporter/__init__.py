"""Unsupervised learning of object keypoints for perception and control: Transporter.

The method of Kulkarni, Gupta, Ionescu, Borgeaud, Reynolds, Zisserman and Mnih (NeurIPS 2019) as a
plugin: its generator, which transports features between two images of one subject, written
against ``lmkit.api`` alone. Its detector (``imm``), its pairing (``intra``) and its loss (``mse``)
are everybody's, and its recipes name them.
"""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "2.0"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the generator."""
    return [
        Component(
            "generator",
            "transporter",
            "lmkit_transporter.generator:Transporter",
            "moves features from the target's landmarks to the source (Kulkarni et al. 2019)",
        )
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes, which are TOML files in this package."""
    return [
        Recipe("transporter", __name__, "Kulkarni et al. 2019 in full: pairs of frames"),
        Recipe("transporter-quick", __name__, "Kulkarni et al. 2019 at the size of quickstart"),
    ]
