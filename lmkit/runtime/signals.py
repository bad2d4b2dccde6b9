"""Stopping in order: a signal lets the step finish and the run save itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lmkit.errors import ExitCode

CODES = {
    "SIGINT": ExitCode.INTERRUPTED,
    "SIGTERM": ExitCode.TERMINATED,
    "SIGHUP": ExitCode.HANGUP,
    "SIGUSR1": ExitCode.NOTICE,
}
"""The signals that stop a run in order, where the system has them, and the exit status of each."""


class Stop:
    """Whether a run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def code(self) -> ExitCode:
        """The exit status that tells of the signal."""
        return ExitCode.INTERRUPTED if self.signal is None else CODES[self.signal.name]


@contextmanager
def stop_on_signals(*, sent_on: bool = False) -> Iterator[Stop]:
    """Turn the signals of [CODES][lmkit.runtime.signals.CODES] into a request.

    A second one ends the process as ever. One that the process was told to ignore, as nohup does
    with SIGHUP, stays ignored.

    Outside the main thread, where Python cannot handle signals, nothing changes.

    Args:
        sent_on: Whether another process sends on what it gets, as torchrun does. A second signal
            is the first one then, and says nothing; torchrun itself ends who does not end.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        if not sent_on:
            for each, handler in former.items():
                signal.signal(each, handler)

    known = [each for each in signal.Signals if each.name in CODES]
    former = {each: signal.getsignal(each) for each in known}
    former = {each: handler for each, handler in former.items() if handler != signal.SIG_IGN}
    try:
        for each in former:
            signal.signal(each, ask)
        yield stop
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
