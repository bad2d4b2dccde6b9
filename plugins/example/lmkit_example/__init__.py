"""What lmkit-example brings to lmkit: text only, so that listing it costs nothing."""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "1.0"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the detector and the loss."""
    return [
        Component(
            "detector", "tiny", "lmkit_example.detector:Tiny", "four convolutions, to be copied"
        ),
        Component("loss", "separation", "lmkit_example.loss:Separation", "keeps landmarks apart"),
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipe, which is example.toml in this package."""
    return [Recipe("example", "lmkit_example", "quickstart with the detector and loss from here")]
