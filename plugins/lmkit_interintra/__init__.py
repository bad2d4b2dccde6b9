"""Unsupervised Learning of Facial Landmarks based on Inter-Intra Subject Consistencies.

The method of Li, Liao, Miao, Lu and Luo (ICPR 2020) as a plugin: its detector, generator,
deformations, pairings and losses, written against ``lmkit.api`` alone.
"""

from lmkit.api import Component, hookimpl


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
