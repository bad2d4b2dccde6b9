"""Hands what a run produces to a writer, and keeps the writer's failures away from the run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.writer import Writer
from lmkit.registry.discovery import describe
from lmkit.registry.places import place_of
from lmkit.runtime.blame import is_failure
from lmkit.runtime.callback import Callback


class WriterCallback(Callback):
    """Drives one writer. Once it has raised, it is left alone for the rest of the run.

    Args:
        writer: The writer.
        name: What to call it, with its plugin and package.
        folder: The run's.
        settings: The run's, as JSON values.
        note: Told of a failure, once.
        strict: Whether a failure ends the run, after a checkpoint.
    """

    def __init__(
        self,
        writer: Writer,
        name: str,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        note: Callable[[str], None],
        strict: bool,
    ) -> None:
        self._writer: Writer | None = writer
        self._name = name
        self._folder = folder
        self._settings = settings
        self._note = note
        self._strict = strict
        self._objection: LmkitError | None = None

    def started(self, *, step: int, steps: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self._tell("started", step, self._folder, self._settings, step=step, steps=steps)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self._tell("metrics", step, step, dict(metrics))

    def drawn(self, step: int, name: str, path: Path) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self._tell("sheet", step, step, name, path)

    def saved(self, step: int, path: Path) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self._tell("checkpoint", step, step, path)

    def ended(self, step: int, state: str) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self._tell("ended", step, step, state)

    def objection(self) -> LmkitError | None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        return self._objection

    def _tell(self, method: str, at: int, /, *arguments: Any, **named: Any) -> None:
        if self._writer is None:
            return
        try:
            getattr(self._writer, method)(*arguments, **named)
        except BaseException as error:
            if not is_failure(error):
                raise
            place = place_of(error, self._writer)
            self._writer = None
            reason = str(error) if isinstance(error, LmkitError) else describe(error)
            reason = f"{reason.rstrip('.')}{place}."
            problem = f"The {self._name} failed in {method}() at step {at}: {reason}"
            if self._strict:
                self._objection = LmkitError(
                    problem,
                    remedy="Unset LMKIT_STRICT_PLUGINS to train on without it, or report it to its "
                    "author; LMKIT_TRACEBACK=1 shows where it failed.",
                    code=ExitCode.PLUGIN,
                )
                self._objection.__cause__ = error
            else:
                self._note(
                    f"{problem} It is switched off for the rest of the run. With "
                    "LMKIT_STRICT_PLUGINS=1 the run would end."
                )
