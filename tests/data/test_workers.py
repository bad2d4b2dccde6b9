"""Reading ahead in other processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from lmkit.data.workers import read_ahead, workers_to_read_all
from lmkit.errors import ExitCode, LmkitError


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> int:
    raise LmkitError("It is refused.", remedy="Ask for less.", code=ExitCode.DATA)


def break_down(number: int) -> int:
    raise KeyError(f"a bug with {number}")


def interrupt_myself(number: int) -> int:
    for name in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), name)
    warnings.warn("an odd image", stacklevel=1)
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order(workers: int) -> None:
    results = list(read_ahead(square, range(7), workers))
    assert [value for value, _ in results] == [0, 1, 4, 9, 16, 25, 36]
    processes = {process for _, process in results}
    assert len(processes) == max(1, workers)
    assert (os.getpid() in processes) == (workers == 0)


def test_nothing_to_read() -> None:
    assert list(read_ahead(square, [], 2)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_keep_their_message(workers: int) -> None:
    with pytest.raises(LmkitError) as caught:
        list(read_ahead(refuse, [1], workers))
    error = caught.value
    assert (error.problem, error.remedy, error.code) == ("It is refused.", "Ask for less.", 3)
    with pytest.raises((KeyError, RuntimeError), match="a bug with 1"):
        list(read_ahead(break_down, [1], workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_requests_are_taken_as_they_are_needed(workers: int) -> None:
    taken: list[int] = []

    def requests() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    ahead = [len(taken) - done for done, _ in enumerate(read_ahead(square, requests(), workers))]
    assert len(ahead) == 20
    assert max(ahead) <= 2 * workers + 1


def test_what_was_asked_before_a_request_fails_is_read() -> None:
    def requests() -> Iterator[int]:
        yield from range(3)
        raise KeyError("a request")

    results = read_ahead(square, requests(), 2)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 4]
    with pytest.raises(KeyError, match="a request") as kept:
        next(results)
    assert not multiprocessing.active_children()
    assert kept.value.args == ("a request",)


def test_readers_read_for_readers() -> None:
    inner = (value for value, _ in read_ahead(square, range(9), 2))
    results = list(read_ahead(square, inner, 2))
    assert [value for value, _ in results] == [number**4 for number in range(9)]
    assert not multiprocessing.active_children()


def test_errors_end_the_workers_at_once() -> None:
    with pytest.raises(LmkitError) as kept:
        list(read_ahead(refuse, range(9), 2))
    assert not multiprocessing.active_children()
    results = read_ahead(square, range(9), 2)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    del results
    assert not multiprocessing.active_children()
    assert kept.value.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who sent a signal")
def test_signals_of_others_do_not_end_workers() -> None:
    assert list(read_ahead(interrupt_myself, range(3), 1)) == [0, 1, 2]


def test_workers_in_use_do_not_keep_the_program_from_ending() -> None:
    # Whoever keeps an exception keeps the frames it passed through, and so the open loader.
    program = "\n".join(
        (
            "from lmkit.data.workers import read_ahead",
            "results = read_ahead(abs, range(99), 1)",
            "print(next(results))",
            "raise SystemExit(5)",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "0\n", "")


def test_many_images_are_read_once_by_all_cores_but_few_by_none(monkeypatch):
    monkeypatch.setattr("lmkit.data.workers.usable_cores", lambda: 64)
    assert workers_to_read_all(None, 256) == 0
    assert workers_to_read_all(None, 257) == 16
    assert workers_to_read_all(3, 10) == 3
