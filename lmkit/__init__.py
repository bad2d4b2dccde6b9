"""lmkit discovers landmarks in images that carry no annotation.

Everything most people need from Python is here::

    import lmkit

    run = lmkit.train(data="photos/", out="runs/first")
    points = lmkit.open_run("runs/first").predict("face.jpg")

The names are loaded on first use, so that ``import lmkit`` does not import torch. Authors of
plugins find theirs in [lmkit.api][].
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["LmkitError", "Run", "__version__", "open_run", "train"]

if TYPE_CHECKING:
    from lmkit.errors import LmkitError
    from lmkit.run.run import Run, open_run
    from lmkit.training.session import train

_HOMES = {
    "LmkitError": "lmkit.errors",
    "Run": "lmkit.run.run",
    "open_run": "lmkit.run.run",
    "train": "lmkit.training.session",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
