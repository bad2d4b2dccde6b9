"""What lmkit-example brings to lmkit: text only, so that listing it costs nothing."""

from lmkit.api import Component, Recipe, hookimpl

LMKIT_API = "2.1"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the components."""
    return [
        Component(
            "detector",
            "example",
            "lmkit_example.detector:Tiny",
            "four convolutions that write score maps",
        ),
        Component(
            "loss",
            "example",
            "lmkit_example.loss:Separation",
            "keeps landmarks apart",
        ),
    ]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipe, which is example.toml in this package."""
    return [Recipe("example", "lmkit_example", "the quickstart with what this package brings")]
