"""Unsupervised learning of object landmarks through conditional image generation.

The method of Jakab, Gupta, Bilen and Vedaldi (NeurIPS 2018) as a plugin: its detector and its
generator, written against ``lmkit.api`` alone. Its deformation (``tps``), its pairing (``intra``)
and its loss (``perceptual``, balanced) are everybody's, and its recipes name them.
"""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "2.0"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the two networks."""
    return [
        Component(
            "detector",
            "imm",
            "lmkit_imm.detector:MarginalDetector",
            "convolutional encoder with marginal soft-argmax (Jakab et al. 2018)",
        ),
        Component(
            "generator",
            "imm",
            "lmkit_imm.generator:ConditionalGenerator",
            "image encoder and bilinear renderer, guided by heatmaps (Jakab et al. 2018)",
        ),
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes, which are TOML files in this package."""
    return [
        Recipe("imm", __name__, "Jakab et al. 2018 in full: thin-plate pairs, perceptual loss"),
        Recipe("imm-quick", __name__, "Jakab et al. 2018 at the size of quickstart"),
    ]
