"""The only file that knows rich: tables on stdout, progress on stderr.

On a terminal, progress is one live line; elsewhere (a log file, CI) it is plain lines.
"""

import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lmkit.runtime.callback import Callback

_WORTH_TELLING = 0.02  # of the time

_WARM = 30, 15.0
"""Steps, or seconds, until a run has its speed: images are drawn or cached, kernels chosen."""

_WATCHED = 5
"""Steps that are watched after that, before an estimate."""

_LONG = 60.0
"""Seconds of training from which it is worth saying how long it will take."""


class _Stderr(io.TextIOBase):
    """Whatever ``sys.stderr`` is at the moment; where it is gone or full, what is said is lost.

    What is told about work must not end the work: a reader that has left (``2>&1 | tee log`` and
    Ctrl-C), a log on a full disk or a closed terminal would otherwise raise in the middle of a run.
    """

    def write(self, text: str) -> int:
        """Write, or lose what cannot be written."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # gone, closed, or None as under pythonw
            _lose_stderr()
        return len(text)

    def flush(self) -> None:
        """Nothing: each write is flushed."""

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        try:
            return sys.stderr.isatty()
        except (OSError, ValueError, AttributeError):
            return False

    def fileno(self) -> int:
        """Return the file's number."""
        return sys.stderr.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What text is written in."""
        return getattr(sys.stderr, "encoding", None) or "utf-8"


def _lose_stderr() -> None:
    """Let what is buffered, and what is written from now on, go nowhere.

    Python flushes stderr once more as it ends, and would change the exit status if that failed.
    """
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


NOTES = Console(file=cast(TextIO, _Stderr()), highlight=False, soft_wrap=True)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table on stdout; where stdout is no terminal, wide and without trailing spaces."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(table)
        return
    wide = Console(highlight=False, markup=False, width=200)
    with wide.capture() as capture:
        wide.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


class TrainingProgress(Callback, AbstractContextManager["TrainingProgress"]):
    """Shows a run on the terminal: step, loss terms, images a second, time left."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._counting: CountingProgress | None = None
        self._live = NOTES.is_terminal
        self._steps = 0
        self._first = 0
        self._began = time.monotonic()
        self._warm: tuple[int, float] | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was, whatever happened."""
        self._end_counting()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def started(self, *, step: int, steps: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        # What was prepared may have ended early, and a terminal shows one bar at a time.
        self._end_counting()
        self._first, self._steps, self._began = step, steps, time.monotonic()
        self._warm = None
        if not self._live:
            return
        columns = (
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(compact=True),
        )
        self._progress = Progress(*columns, console=NOTES, refresh_per_second=4)
        self._task = self._progress.add_task("", total=steps, completed=step, metrics="")
        self._progress.start()

    def note(self, text: str) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        NOTES.print(text, markup=False)

    def prepared(self, what: str, done: int, total: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        if self._counting is None:
            self._counting = CountingProgress(what).__enter__()
        self._counting(done, total)
        if done == total:
            self._end_counting()

    def progressed(self, step: int) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        if self._progress is not None:
            self._progress.update(self._task, completed=step)
        now = time.monotonic()
        if self._warm is None:
            if step - self._first >= _WARM[0] or now - self._began >= _WARM[1]:
                self._warm = step, now
        elif step - self._warm[0] == _WATCHED:
            self._estimate((now - self._warm[1]) / _WATCHED, self._steps - step)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        text = _metrics_text(metrics)
        if metrics["skipped_updates"]:
            self.note(f"{metrics['skipped_updates']:.0f} updates were skipped: not finite.")
        if self._progress is not None:
            self._progress.update(self._task, metrics=text)
        elif not self._live:
            elapsed = time.monotonic() - self._began
            left = elapsed / max(step - self._first, 1) * (self._steps - step)
            NOTES.print(f"step {step}/{self._steps}  {text}  {_clock(left)} left", markup=False)

    def saved(self, step: int, path: Path) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        if not self._live:
            NOTES.print(f"step {step}/{self._steps}  saved {path}", markup=False)

    def ended(self, step: int, state: str) -> None:
        """See [Callback][lmkit.runtime.callback.Callback]."""
        self.__exit__(None, None, None)

    def _estimate(self, seconds: float, steps: int) -> None:
        """Say how long the rest takes, before the first line of metrics does."""
        if seconds * steps >= _LONG:
            self.note(f"About {_duration(seconds * steps)} for the {steps} steps that are left.")

    def _end_counting(self) -> None:
        if self._counting is not None:
            self._counting.stop()
            self._counting = None


class CountingProgress(AbstractContextManager["CountingProgress"]):
    """Shows how many of something are done.

    Where stderr is no terminal, that is a line from time to time: nothing for what takes seconds.

    Args:
        what: What is being done.
        unit: What is counted, in the plural, if their number a second is to be shown.
    """

    EVERY = 30.0
    """Seconds between two lines."""

    def __init__(self, what: str, unit: str = "") -> None:
        self.done = 0
        self._what = what
        self._unit = unit
        self._began = self._said = time.monotonic()
        self._progress = Progress(
            TextColumn(what),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=NOTES,
            disable=not NOTES.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, speed="")

    def __enter__(self) -> "CountingProgress":
        self._progress.start()
        self._began = self._said = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self.stop()

    def stop(self) -> None:
        """Show nothing more, and leave the terminal as it was."""
        self._progress.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` are done."""
        self.done = done
        now = time.monotonic()
        rate = done / max(now - self._began, 1e-9)
        speed = f"{rate:.{0 if rate >= 10 else 1}f} {self._unit}/s" if self._unit else ""
        self._progress.update(self._task, completed=done, total=total, speed=speed)
        if NOTES.is_terminal or now - self._said < self.EVERY:
            return
        self._said = now
        left = f"{_clock((total - done) / rate)} left" if total and done else ""
        count = f"{done}/{total}" if total else f"{done}"
        NOTES.print("  ".join(filter(None, [f"{self._what} {count}", speed, left])), markup=False)


def _metrics_text(metrics: Mapping[str, float]) -> str:
    terms = [name for name in metrics if name.startswith("loss/")]
    parts = [f"loss {metrics['loss']:.4f}"]
    if len(terms) > 1:
        parts += [f"{name.removeprefix('loss/')} {metrics[name]:.4f}" for name in terms]
    parts.append(f"{metrics['images_per_second']:.0f} images/s")
    if metrics["data_wait"] >= _WORTH_TELLING:
        parts.append(f"{metrics['data_wait']:.0%} waiting for data")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    hours = round(seconds / 3600)
    return f"{hours} hours" if hours < 72 else f"{round(seconds / 86400)} days"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
