"""lmkit discovers landmarks in images that carry no annotation.

Everything most people need from Python is here::

    import lmkit

    if __name__ == "__main__":  # worker processes may run a script again, up to here
        run = lmkit.train(data="photos/", out="runs/first")
        points = lmkit.open_run("runs/first").predict("face.jpg")

The names are loaded on first use, so that ``import lmkit`` does not import torch. Authors of
plugins find theirs in [lmkit.api][].
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "LmkitError": "errors",
    "Run": "run.run",
    "open_run": "run.run",
    "train": "training.session",
}
"""Every name and the module it is defined in; what type checkers read below is held to it."""

if TYPE_CHECKING:
    from lmkit.errors import LmkitError as LmkitError
    from lmkit.run.run import Run as Run
    from lmkit.run.run import open_run as open_run
    from lmkit.training.session import train as train

__all__ = sorted(["__version__", *_HOMES])


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lmkit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Show the names that nobody has used yet as well."""
    return sorted({*globals(), *__all__})
