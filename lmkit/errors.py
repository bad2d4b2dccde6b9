"""The one error a user may cause, and the exit codes of the command line.

An [LmkitError][lmkit.errors.LmkitError] says what was given and why it is refused, and always
carries a remedy. The command line prints both without a traceback and ends with the error's code.
Anything else that escapes is a bug in lmkit or in a plugin, and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from functools import partial
from typing import Any


class ExitCode(IntEnum):
    """What the exit status of the ``lmkit`` command means."""

    OK = 0
    """The command did what was asked."""
    INTERNAL = 1
    """A bug: the traceback says where."""
    USAGE = 2
    """The command line or the settings are wrong."""
    DATA = 3
    """The data cannot be used: missing, empty, unreadable, or not what the command needs."""
    PLUGIN = 4
    """A plugin or one of its components is broken or breaks its contract."""
    RUN = 5
    """The run folder or a checkpoint is missing, damaged, in use, or does not fit the request."""
    DIVERGED = 6
    """Training produced values that are not finite."""
    STORAGE = 7
    """A file could not be written: disk full, no permission."""
    LOST = 8
    """One of the processes that train together was killed, cut off, or never reached."""
    HANGUP = 129
    """Stopped by SIGHUP (the terminal went away) after saving."""
    INTERRUPTED = 130
    """Stopped by SIGINT (Ctrl-C) after saving."""
    NOTICE = 138
    """Stopped by SIGUSR1 (a scheduler's notice that time is up) after saving."""
    TERMINATED = 143
    """Stopped by SIGTERM after saving."""


class LmkitError(Exception):
    """Something the user can put right.

    Args:
        problem: What was given and why it is refused, as one sentence.
        remedy: What to do about it, as one sentence.
        code: The exit status of the command line.
    """

    def __init__(self, problem: str, *, remedy: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle their positional arguments alone; this one crosses processes whole.
        return partial(type(self), remedy=self.remedy, code=self.code), (self.problem,)


class ToldElsewhereError(LmkitError):
    """What another of the processes that train together reports; this one ends in silence."""


def did_you_mean(given: str, known: Iterable[str], *, all_of_them: str = "Known") -> str:
    """Return a remedy that names the closest known word, or else all of them.

    Args:
        given: The word that is not known.
        known: The words that are.
        all_of_them: How to introduce the whole list.
    """
    names = sorted(known)
    by_lower = {name.lower(): name for name in names}
    close = get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{by_lower[close[0]]}'?"
    return f"{all_of_them}: {', '.join(names) if names else 'none'}."
