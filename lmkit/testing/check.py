"""A check of the kit: a named promise, held against one subject."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from lmkit.errors import LmkitError
from lmkit.registry.discovery import describe
from lmkit.registry.places import place_of, place_of_class
from lmkit.runtime.blame import advice, is_failure

State = Literal["passed", "failed", "skipped", "expected"]
"""How a check can end; ``expected`` is a failure that its author announced."""

Function = Callable[[Any], None]

WORKS = "works"
"""The promise that everything else that components promise rests on."""
GATES = (WORKS, "loads")
"""The first promises of components and of plugins: where one is broken, no other is looked at."""


class Skipped(SkipTest):
    """A check that cannot be made here, and why; pytest and unittest report it as skipped."""


class BrokenPromiseError(AssertionError):
    """A promise that is not kept.

    Args:
        problem: Who, what was expected, and what came.
        remedy: What the author can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Promise:
    """What all components of some kinds promise, and the function that finds out.

    Args:
        name: What the check is called.
        kinds: The kinds that promise it; ``plugin`` for the plugin itself.
        function: Given the subject, returns nothing or raises.
        remedy: What an author does whose component does not keep it.
    """

    name: str
    kinds: tuple[str, ...]
    function: Function
    remedy: str

    @property
    def text(self) -> str:
        """The promise, as one line."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


PROMISES: list[Promise] = []
"""All of them, in the order in which they are checked."""


def promise(name: str, *kinds: str, remedy: str) -> Callable[[Function], Function]:
    """Add a function to the kit; the first line of its docstring is the promise.

    Args:
        name: What the check is called.
        kinds: The kinds that promise it.
        remedy: What an author does whose component does not keep it, as one sentence.
    """

    def add(function: Function) -> Function:
        PROMISES.append(Promise(name, kinds, function, remedy))
        return function

    return add


def promises_of(kind: str) -> Iterator[Promise]:
    """Yield what components of a kind (or a ``plugin``) promise."""
    return (each for each in PROMISES if kind in each.kinds)


def expect(holds: bool, subject: object, wanted: str, came: object) -> None:
    """Raise unless something is as it should be.

    Args:
        holds: Whether it is.
        subject: Whose promise it is.
        wanted: What was expected.
        came: What was there instead.

    Raises:
        AssertionError: If it is not.
    """
    if not holds:
        raise AssertionError(f"{subject}: expected {wanted}, got {came}.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended.

    Args:
        state: In one word.
        problem: What is not as it should be, or why the check was not made; empty if it passed.
        remedy: What to do about it; empty if nothing is to be done.
        seconds: How long it took.
    """

    state: State
    problem: str = ""
    remedy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of one subject; calling it makes the check, ``str`` gives its name.

    Args:
        subject: The component or plugin.
        promise: What it promises.
        excuse: Why the check is expected to fail; empty if it is not.
    """

    subject: object
    promise: Promise
    excuse: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.promise.name}"

    def __call__(self) -> None:
        """Make the check.

        Raises:
            AssertionError: If the promise is not kept, or is kept although that was not expected.
            Skipped: If it cannot be checked here, or fails as expected.
        """
        broken = self._find_fault()
        if broken is not None and self.excuse:
            raise Skipped(f"fails as expected: {self.excuse}") from broken
        if broken is not None:
            raise broken
        if self.excuse:
            raise self._passes_after_all()

    def outcome(self) -> Outcome:
        """Make the check and say how it ended; raises nothing."""
        began = time.perf_counter()
        try:
            broken = self._find_fault()
        except SkipTest as skipped:
            return Outcome("skipped", str(skipped), seconds=time.perf_counter() - began)
        seconds = time.perf_counter() - began
        if broken is not None and self.excuse:
            return Outcome("expected", f"{self.excuse} ({broken.problem})", seconds=seconds)
        if broken is None and self.excuse:
            broken = self._passes_after_all()
        if broken is not None:
            return Outcome("failed", broken.problem, broken.remedy, seconds)
        return Outcome("passed", seconds=seconds)

    def _find_fault(self) -> BrokenPromiseError | None:
        if self.promise.name in GATES:
            return self._first()
        for gate in promises_of(getattr(self.subject, "kind", "")):
            if gate.name in GATES and self._gate(gate) is not None:
                raise Skipped(f"'{gate.name}' fails, which this rests on")
        return self._ask()

    def _gate(self, gate: Promise) -> BrokenPromiseError | None:
        try:
            return Check(self.subject, gate)._first()
        except SkipTest:
            return None  # What is lacking for it is lacking for the others, which say so.

    def _first(self) -> BrokenPromiseError | None:
        """Make the check that others rest on; once for them all."""
        memo: dict[str, BrokenPromiseError | None] = getattr(self.subject, "memo", {})
        if self.promise.name not in memo:
            memo[self.promise.name] = self._ask()
        return memo[self.promise.name]

    def _ask(self) -> BrokenPromiseError | None:
        try:
            self.promise.function(self.subject)
        except SkipTest:
            raise
        except BaseException as error:
            # Leaving by sys.exit() is a failure too, but Ctrl-C is not.
            if not is_failure(error):
                raise
            broken = BrokenPromiseError(*self._explain(error))
            broken.__cause__ = error
            return broken
        return None

    def _explain(self, error: BaseException) -> tuple[str, str]:
        """Return what is wrong, with the place in the component's own file, and what to do."""
        cls = _class_of(self.subject)
        cause = error.__cause__
        if isinstance(error, LmkitError) and cause is not None and _is_of_contract(cause):
            error = cause
        if isinstance(error, LmkitError):
            words = error.problem
            if ", line " not in words and cls is not None:
                words = f"{words.rstrip('.')}{place_of_class(cls)}."
            return f"{self.subject}: {words}", error.remedy
        if isinstance(error, AssertionError) and _is_of_lmkit(error):
            words = str(error).rstrip(".")
            return (
                f"{words}{'' if cls is None else place_of_class(cls, words)}.",
                self.promise.remedy,
            )
        if _is_of_contract(error):
            words = str(error)
            place = "" if cls is None else place_of_class(cls, words)
            return f"{self.subject}: {words}{place}.", self.promise.remedy
        # Whatever a stranger's code raises where it should have kept its promise.
        told = describe(error).rstrip(".")
        own = place_of(error)
        problem = f"{self.subject}: expected no exception, got {told}{place_of(error, cls)}."
        there = own and self.promise.name == WORKS
        return problem, advice(error) or ("Correct it there." if there else self.promise.remedy)

    def _passes_after_all(self) -> BrokenPromiseError:
        return BrokenPromiseError(
            f"{self} was expected to fail ({self.excuse}), but passes.",
            "Remove it from expected_failures.",
        )


def _class_of(subject: object) -> type | None:
    """Return the class of a component, if it can be had."""
    try:
        cls = subject.entry.load()  # type: ignore[attr-defined]
    except BaseException as error:
        if not is_failure(error):
            raise
        return None
    return cls if isinstance(cls, type) else None


def _last_module(error: BaseException) -> str:
    """Return the name of the module that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))


def _is_of_lmkit(error: BaseException) -> bool:
    return _last_module(error).startswith("lmkit.")


def _is_of_contract(error: BaseException) -> bool:
    """Return whether lmkit says that what a component returned is not as it should be."""
    return isinstance(error, (TypeError, ValueError)) and _last_module(error).startswith(
        ("lmkit.runtime.", "lmkit.interfaces.", "lmkit.testing.")
    )
