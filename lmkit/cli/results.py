"""Where results go: stdout, alone there as JSON whatever plugins print."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click


class Results:
    """Stdout, kept for results alone while everything else that is printed goes to stderr.

    That holds for what plugins print from Python, and for what libraries and programs they call
    print where stdout is that of the process.
    """

    def __init__(self) -> None:
        self._stdout = sys.stdout
        self._stderr = sys.stderr
        self._own: int | None = None
        self._held = True
        with suppress(OSError, ValueError, AttributeError):
            if self._stdout.fileno() == 1:
                self._stdout.flush()
                self._own = os.dup(1)
                _send_to_stderr()
        sys.stdout = self._stderr

    def write(self, text: str) -> None:
        """Write a result.

        Raises:
            OSError: If it cannot be written.
        """
        if self._own is None:
            click.echo(text, file=self._stdout)
            return
        # By no buffer, which would be flushed once more after it had failed.
        with io.FileIO(self._own, "w", closefd=False) as file:
            rest = memoryview(f"{text}\n".encode(self._stdout.encoding, "backslashreplace"))
            while rest:
                rest = rest[file.write(rest) or 0 :]

    def let_go(self) -> None:
        """Let everybody print to stdout again."""
        if not self._held:
            return
        self._held = False
        sys.stdout = self._stdout
        if self._own is not None:
            with suppress(OSError, ValueError, AttributeError):
                self._stderr.flush()
            os.dup2(self._own, 1)
            os.close(self._own)


def _send_to_stderr() -> None:
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


_results: Results | None = None


@contextmanager
def results_alone(words: Sequence[str]) -> Iterator[None]:
    """Keep stdout for the result of a command that prints JSON.

    Args:
        words: The command line.
    """
    global _results
    options = words[: words.index("--")] if "--" in words else words
    help_asked = {"-h", "--help", "--version"} & {*options}
    if "--json" not in options or help_asked or sys.stdout is None:
        yield
        return
    _results = Results()
    try:
        yield
    finally:
        let_others_print()


def let_others_print() -> None:
    """Let a command print its results itself, as those of plugins do."""
    global _results
    if _results is not None:
        _results.let_go()
        _results = None


def print_result(text: str) -> None:
    """Print a result on stdout."""
    if _results is None:
        click.echo(text)
    else:
        _results.write(text)


def hold_streams() -> None:
    """Let nothing else have the numbers of standard streams that are closed.

    The next file that is opened would get them, a checkpoint perhaps, and what a library writes to
    stderr would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def escape_unprintable() -> None:
    """Let stdout and stderr show by an escape what they have no way to write.

    That is a letter that the locale does not have, or bytes of a file's name that are no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
