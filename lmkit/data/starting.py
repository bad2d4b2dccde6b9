"""How worker processes are started, and what is said where a script is not made for that.

Where processes are not forked (macOS and Windows, Linux from Python 3.14), each begins by running
the user's script again, up to ``if __name__ == "__main__":``. A script without that line would
train once more in each of them, and wait for ever for the files that the first one holds.
"""

import copy
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from lmkit.errors import LmkitError

_NAME = "lmkit-worker"
_STARTING = "_LMKIT_STARTS_WORKERS"
"""An environment variable, for a server of processes, which has no name of ours."""
_RERAN = 79
"""The exit status of a worker that came to lmkit while it ran the script again."""


def refuse_rerun() -> None:
    """Go no further where this process is one that is starting, and runs the user's script again.

    A worker of lmkit's ends without a word: whoever starts it says why.

    Raises:
        LmkitError: If somebody else starts it.
    """
    process = multiprocessing.current_process()
    # What multiprocessing itself goes by to refuse processes that are started meanwhile.
    if not getattr(process, "_inheriting", False):
        return
    if process.name.startswith(_NAME) or os.environ.get(_STARTING):
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(_RERAN)
    raise _without_guard()


class Starter:
    """Starts worker processes by the start method that Python has.

    Attributes:
        context: For torch's DataLoader; None where processes are forked, which run nothing again.
    """

    def __init__(self) -> None:
        method = multiprocessing.get_start_method()
        self._started: list[BaseProcess] = []
        self.context: BaseContext | None = None
        if method != "fork":
            plain: Any = multiprocessing.get_context(method)
            named: Any = copy.copy(plain)

            def start(**given: Any) -> BaseProcess:
                process: BaseProcess = plain.Process(name=f"{_NAME}-{len(self._started)}", **given)
                self._started.append(process)
                return process

            named.Process = start
            self.context = named

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Say what to do about workers that could not start because of the script.

        Raises:
            LmkitError: In place of the loader's error, which says that they have gone.
        """
        if self.context is None:
            yield
            return
        before = os.environ.get(_STARTING)
        os.environ[_STARTING] = "1"
        try:
            yield
        except (RuntimeError, EOFError, ConnectionError) as error:
            # Where it was the server of processes that ran the script, no process was started.
            lost = not isinstance(error, RuntimeError)
            if lost or any(each.exitcode == _RERAN for each in self._started):
                raise _without_guard() from None
            raise
        finally:
            if before is None:
                del os.environ[_STARTING]


def _without_guard() -> LmkitError:
    script = getattr(sys.modules["__main__"], "__file__", None) or "This script"
    return LmkitError(
        f'{script} uses lmkit without the line `if __name__ == "__main__":`. Processes that read '
        "images run it again up to there as they start, and would do the same work once more.",
        remedy='Put `if __name__ == "__main__":` before what is to be done once, and indent that; '
        'or start no processes: settings={"loading": {"workers": 0}}.',
    )
