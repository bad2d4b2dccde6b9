"""What my-plugin brings to lmkit: text only, so that listing it costs nothing."""

from lmkit.api import Command, Component, Recipe, hookimpl

LMKIT_API = "2.1"
"""The version of lmkit's plugin API that this was written against."""


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the components."""
    return [
        Component(
            "detector",
            "my-part",
            "my_plugin.detector:Tiny",
            "four convolutions that write score maps",
        ),
        Component(
            "generator",
            "my-part",
            "my_plugin.generator:Painter",
            "an encoder and a decoder with the heatmaps between them",
        ),
        Component(
            "deformation",
            "my-part",
            "my_plugin.deformation:Shear",
            "random shear and shift",
        ),
        Component(
            "pairing",
            "my-part",
            "my_plugin.pairing:ThereAndBack",
            "to another's landmarks and back to one's own",
        ),
        Component(
            "loss",
            "my-part",
            "my_plugin.loss:Separation",
            "keeps landmarks apart",
        ),
        Component(
            "dataset",
            "my-part",
            "my_plugin.dataset:Triangles",
            "generated triangles with their corners",
        ),
        Component(
            "writer",
            "my-part",
            "my_plugin.writer:MetricsTable",
            "a run's metrics as a CSV",
        ),
    ]


@hookimpl
def lmkit_commands() -> list[Command]:
    """Announce the command."""
    return [Command("my-part", "my_plugin.command:command", "How far landmarks move.")]


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipe, which is my-part.toml in this package."""
    return [Recipe("my-part", "my_plugin", "the quickstart with what this package brings")]
