"""Reads ahead in other processes, without a trace of them in the results."""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch.utils import data

from lmkit.data.cores import usable_cores
from lmkit.data.starting import Starter, refuse_rerun
from lmkit.errors import ExitCode, LmkitError

_FEW = 256  # images that are read sooner than processes are started

_NOTHING = object()

ProgressCallback = Callable[[int, int], None]
"""Is told how many of how many are done."""

_Asked = TypeVar("_Asked")
_Read = TypeVar("_Read")


def read_ahead(
    read: Callable[[_Asked], _Read],
    requests: Iterable[_Asked],
    workers: int,
    pin_memory: bool = False,
) -> Iterator[_Read]:
    """Yield ``read(request)`` for each request, in order.

    Args:
        read: A function of its argument alone.
        requests: What to read; taken two a worker ahead of the results, so that they may be
            computed meanwhile.
        workers: The number of processes that read; with 0, this one does.
        pin_memory: Whether to put results where the GPU fetches them from, by their method
            ``pin_memory``.

    Raises:
        LmkitError: As ``read`` raises it, from whichever process.
        RuntimeError: If ``read`` raises anything else in a worker, with the worker's traceback.
        Exception: As the requests raise it, after the results of those before.
    """
    if workers == 0:
        for request in requests:
            result: Any = read(request)
            yield result.pin_memory() if pin_memory else result
        return
    refuse_rerun()
    if isinstance(requests, Sized):
        workers = min(workers, len(requests))
    asked, starter = _Requests(requests), Starter()
    with warnings.catch_warnings(), starter.watching():
        # Remarks on forking beside threads, and on more workers than cores (which is right where
        # the disk is slow). The workers use neither threads nor devices, so forking is safe; the
        # alternatives import torch anew in each and run the user's script again.
        warnings.simplefilter("ignore")
        loader: data.DataLoader[Any] = data.DataLoader(
            _Guarded(read),
            sampler=asked,
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_is,
            pin_memory=pin_memory,
            multiprocessing_context=starter.context,
            worker_init_fn=partial(_leave_signals_to_main, os.getpid()),
            # Otherwise the loader would draw from the global generator.
            generator=torch.Generator(),
        )
        results = iter(loader)
    try:
        while True:
            with starter.watching():
                result = next(results, _NOTHING)
            if result is _NOTHING:
                break
            if isinstance(result, _Refusal):
                raise LmkitError(result.problem, remedy=result.remedy, code=result.code)
            if isinstance(result, _Breakdown):
                raise RuntimeError(f"A worker process could not read on.\n\n{result.traceback}")
            yield result
        if asked.error is not None:
            raise asked.error
    finally:
        # The loader ends its workers when it is let go of. Whoever keeps an exception keeps this
        # frame, but must not keep the workers waiting.
        del results


def workers_to_read_all(workers: int | None, images: int) -> int:
    """Return how many processes read every image once, while nothing else is to be done.

    Args:
        workers: What the settings say; none leaves it open.
        images: How many there are.
    """
    if workers is not None:
        return workers
    return 0 if images <= _FEW else min(16, usable_cores())


class _Refusal(NamedTuple):
    """An LmkitError on its way from a worker process, which would pass on its text alone."""

    problem: str
    remedy: str
    code: ExitCode


class _Breakdown(NamedTuple):
    """Any other error on its way from a worker process."""

    traceback: str


class _Guarded(data.Dataset[Any]):
    """What the worker processes see: a function whose errors are results.

    Raised by the loader itself, an error would hold on to the loader and so to the workers.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __getitem__(self, request: Any) -> Any:
        try:
            return self._read(request)
        except LmkitError as error:
            return _Refusal(error.problem, error.remedy, error.code)
        except Exception:
            return _Breakdown(traceback.format_exc())


class _Requests(data.Sampler[Any]):
    """The requests themselves, in order.

    What they raise ends them and is kept: raised through the loader, it would hold on to it.
    """

    def __init__(self, requests: Iterable[Any]) -> None:
        self._requests = requests
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._requests
        except Exception as error:
            self.error = error


def _as_is(result: _Read) -> _Read:
    return result


def _leave_signals_to_main(main: int, worker: int) -> None:
    """Survive Ctrl-C and a job scheduler's SIGTERM, which reach every process of a run.

    The main process finishes its step and saves, and needs its workers until then. SIGTERM from the
    main process itself is how a worker is ended, so the sender has to be looked at. It is not
    the worker's parent where a server of processes has forked that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_main, args=(main,), daemon=True).start()


def _end_with_main(main: int) -> None:
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != main:
            pass
        os._exit(0)


def workers_for(workers: int | None, device: torch.device, together: int = 1) -> int:
    """Return how many processes read images for this one, if the settings leave it open.

    On the CPU none: they would take the cores that train.

    Args:
        workers: The settings.
        device: Where this process trains.
        together: How many that train share the machine.
    """
    if workers is not None:
        return workers
    return 0 if device.type == "cpu" else min(8, max(1, usable_cores() // together))
