"""Runs in TensorBoard: a writer, against ``lmkit.api`` alone."""

from lmkit.api import Component, hookimpl


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the writer."""
    summary = "metrics, images, settings and checkpoints for TensorBoard"
    return [Component("writer", "tensorboard", "lmkit_tensorboard.writer:TensorBoard", summary)]
