"""What the engine tells others as it goes. The engine itself neither prints nor draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lmkit.errors import LmkitError
from lmkit.runtime.assemble import Assembly


class Observer:
    """Hears of a run's progress; every method does nothing unless overridden."""

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
        """It is time for an image; the networks may be used but must be left as they are."""

    def drawn(self, step: int, name: str, path: Path) -> None:
        """An image is in its file; the name says what it shows."""

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint is complete."""

    def objection(self) -> LmkitError | None:
        """Say why the run is to end, once the present step is saved; none to go on."""
        return None

    def ended(self, step: int, state: str) -> None:
        """The run is over: ``finished``, ``stopped`` or ``failed``."""


class Observers(Observer):
    """Tells several observers, one after the other.

    Args:
        observers: In the order they hear.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def started(self, *, step: int, steps: int) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.started(step=step, steps=steps)

    def note(self, text: str) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.note(text)

    def prepared(self, what: str, done: int, total: int) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.prepared(what, done, total)

    def progressed(self, step: int) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.progressed(step)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.logged(step, metrics)

    def sheets(self, step: int, assembly: Assembly) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.sheets(step, assembly)

    def drawn(self, step: int, name: str, path: Path) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.drawn(step, name, path)

    def saved(self, step: int, path: Path) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.saved(step, path)

    def ended(self, step: int, state: str) -> None:
        """See [Observer][lmkit.runtime.observer.Observer]."""
        for observer in self.observers:
            observer.ended(step, state)

    def objection(self) -> LmkitError | None:
        """Return the first objection of any; see [Observer][lmkit.runtime.observer.Observer]."""
        return next(filter(None, (observer.objection() for observer in self.observers)), None)
