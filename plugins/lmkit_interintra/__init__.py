"""Unsupervised Learning of Facial Landmarks based on Inter-Intra Subject Consistencies.

The method of Li, Liao, Miao, Lu and Luo (ICPR 2020) as a plugin: its detector, generator,
deformations, pairings and losses, its recipes and the tables of its paper, written against
``lmkit.api`` alone.
"""

from lmkit.api import Command, Component, Recipe, hookimpl


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the method's parts."""
    parts = [
        (
            "detector",
            "hourglass",
            "hourglass:Hourglass",
            "stacked hourglass: scratch, finetune or projection",
        ),
        (
            "generator",
            "residual",
            "residual:ResidualGenerator",
            "encoder, residual blocks and decoder, guided by heatmaps",
        ),
        (
            "deformation",
            "similarity",
            "similarity:Similarity",
            "random scale, rotation and translation",
        ),
        (
            "deformation",
            "tps",
            "tps:ThinPlateSpline",
            "random thin-plate splines on top of a similarity",
        ),
        ("pairing", "intra", "pairings:Intra", "an image and its own deformation"),
        (
            "pairing",
            "inter-intra",
            "pairings:InterIntra",
            "through the landmarks of another subject and back",
        ),
        ("loss", "mse", "losses:MeanSquaredError", "mean squared difference of pixels"),
        ("loss", "perceptual", "perceptual:Perceptual", "squared difference of VGG features"),
        ("loss", "gabor", "gabor:Gabor", "squared difference of Gabor filters' responses"),
        (
            "loss",
            "heatmap",
            "supervised:HeatmapRegression",
            "score maps against Gaussians at annotated points",
        ),
        ("loss", "points", "supervised:PointRegression", "landmarks against annotated points"),
    ]
    return [
        Component(kind, name, f"lmkit_interintra.{target}", summary)
        for kind, name, target, summary in parts
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the paper's settings, and the rows of its tables."""
    summaries = {
        "paper": "Li et al. 2020 in full: 128 pixels, hourglass, inter-intra with the cycle",
        "baseline": "Table I, Baseline: one path, original to deformed",
        "sanchez": "Table I, Sanchez: baseline, started by projection from a core you name",
        "inter-subject": "Table I, w. Inter-Subject: through an auxiliary subject, no cycle",
        "cycle": "Table I, w. Cycle: both paths, no auxiliary subject",
        "vgg19": "Table III, VGG-19: perceptual loss from the deeper network",
        "mse-only": "Table III, L_R only: no perceptual loss",
        "perceptual-only": "Table III, L_P only: no pixel loss",
    }
    package = "lmkit_interintra.recipes"
    return [Recipe(name, package, summary) for name, summary in summaries.items()]


@hookimpl
def lmkit_commands() -> list[Command]:
    """Announce ``lmkit reproduce``."""
    return [
        Command(
            "reproduce",
            "lmkit_interintra.tables.command:command",
            "Train and measure the rows of a table of Li et al. 2020.",
        )
    ]
