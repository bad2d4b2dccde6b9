"""Callbacks: what training tells others as it goes. It neither prints nor draws itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lmkit.errors import LmkitError
from lmkit.runtime.assemble import Assembly


class Callback:
    """Is told of a run's progress; every method does nothing unless overridden."""

    def started(self, *, step: int, steps: int) -> None:
        """The run starts, or goes on, at ``step`` of ``steps``."""

    def note(self, text: str) -> None:
        """Something the user should know, once."""

    def prepared(self, what: str, done: int, total: int) -> None:
        """Something that comes before training, called by what is done, is at ``done``."""

    def progressed(self, step: int) -> None:
        """A step was handed to the device; called every step, so it must be cheap."""

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics averaged over the steps since the last time."""

    def sheets(self, step: int, assembly: Assembly) -> None:
        """It is time to draw sheets; the networks may be used but must be left as they are."""

    def drawn(self, step: int, name: str, path: Path) -> None:
        """A sheet is in its file; the name says what it shows."""

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint is complete."""

    def objection(self) -> LmkitError | None:
        """Say why the run is to end, once the present step is saved; none to go on."""
        return None

    def ended(self, step: int, state: str) -> None:
        """The run is over: ``finished``, ``stopped`` or ``failed``."""


class Callbacks(Callback):
    """Tells several callbacks, one after the other.

    Args:
        callbacks: In the order they hear.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks

    def started(self, *, step: int, steps: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.started(step=step, steps=steps)

    def note(self, text: str) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.note(text)

    def prepared(self, what: str, done: int, total: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.prepared(what, done, total)

    def progressed(self, step: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.progressed(step)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.logged(step, metrics)

    def sheets(self, step: int, assembly: Assembly) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.sheets(step, assembly)

    def drawn(self, step: int, name: str, path: Path) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.drawn(step, name, path)

    def saved(self, step: int, path: Path) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.saved(step, path)

    def ended(self, step: int, state: str) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        for callback in self.callbacks:
            callback.ended(step, state)

    def objection(self) -> LmkitError | None:
        """Return the first objection of any; see [Callback][lmkit.runtime.callback.Callback]."""
        return next(filter(None, (callback.objection() for callback in self.callbacks)), None)
