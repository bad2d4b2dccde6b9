"""The records a plugin registers: text only, so that listing them imports no component."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lmkit.errors import ExitCode, LmkitError

KINDS = ("detector", "generator", "deformation", "pairing", "loss", "dataset", "writer")
"""The kinds of component; each has an interface of the same name in ``lmkit.api``."""

LISTED = (*KINDS, "recipe", "listing")
"""What ``lmkit list`` lists of every plugin; no listing of a plugin's own may be called so."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Component:
    """One replaceable part, as its plugin announces it.

    Args:
        kind: One of [KINDS][lmkit.registry.component.KINDS].
        name: What users type: lower-case letters, digits, ``-`` and ``_``.
        target: Where its class is: ``"package.module:Class"``. It is imported when first used.
        summary: One line for ``lmkit list``.

    Raises:
        ValueError: If a field does not have that form.
    """

    kind: str
    name: str
    target: str
    summary: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"component kind {self.kind!r} is not one of {', '.join(KINDS)}")
        _check_words(self.kind, self.name, self.summary)
        _check_target(self.kind, self.name, self.target, "Class")

    def load(self) -> Any:
        """Import the class. Whatever its module raises comes through."""
        return _load(self.target)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Complete named settings that ``--recipe NAME`` starts from.

    Args:
        name: What users type.
        package: The package whose data holds ``<name>.toml``.
        summary: One line for ``lmkit list``.
        minutes: How long it trains on two CPU cores, in minutes; None if nobody has measured it, or
            if it is for a GPU.

    Raises:
        ValueError: If a field does not have that form.
    """

    name: str
    package: str
    summary: str
    minutes: float | None = None

    def __post_init__(self) -> None:
        _check_words("recipe", self.name, self.summary)
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"recipe {self.name!r}: {self.minutes} minutes are not above 0")

    def read(self) -> str:
        """Return the TOML text.

        Raises:
            LmkitError: If the package does not hold it.
        """
        from importlib.resources import files

        try:
            return files(self.package).joinpath(f"{self.name}.toml").read_text(encoding="utf-8")
        except (ImportError, OSError, UnicodeDecodeError) as error:
            raise LmkitError(
                f"The recipe '{self.name}' cannot be read from the package {self.package}: "
                f"{type(error).__name__}: {error}.",
                remedy="Update or reinstall the package that brings it, or take another recipe.",
                code=ExitCode.PLUGIN,
            ) from error


@dataclass(frozen=True, slots=True)
class Listing:
    """A catalogue that ``lmkit list NAME [PATTERN]`` shows: what some option may name.

    Args:
        name: What users type; not one of [LISTED][lmkit.registry.component.LISTED].
        target: Where its function is: ``"package.module:function"``. It is imported when the
            catalogue is asked for, called with a shell wildcard (``"*"`` for everything), and
            returns pairs of a name and a line about it.
        summary: One line for ``lmkit list``.

    Raises:
        ValueError: If a field does not have that form.
    """

    name: str
    target: str
    summary: str

    def __post_init__(self) -> None:
        _check_words("listing", self.name, self.summary)
        _check_target("listing", self.name, self.target, "function")
        if self.name in LISTED:
            raise ValueError(f"listing name {self.name!r} is taken: lmkit lists that itself")

    def load(self) -> Any:
        """Import the function. Whatever its module raises comes through."""
        return _load(self.target)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a plugin adds: ``lmkit NAME``.

    Args:
        name: What users type.
        target: Where it is: ``"package.module:command"``, a command of click. It is imported when
            it is called.
        summary: One line for ``lmkit --help``.

    Raises:
        ValueError: If a field does not have that form.
    """

    name: str
    target: str
    summary: str

    def __post_init__(self) -> None:
        _check_words("command", self.name, self.summary)
        _check_target("command", self.name, self.target, "command")

    def load(self) -> Any:
        """Import the command. Whatever its module raises comes through."""
        return _load(self.target)


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _check_target(what: str, name: str, target: str, kind_of: str) -> None:
    if not _TARGET.fullmatch(target):
        raise ValueError(
            f"{what} {name!r} has the target {target!r}, which is not 'package.module:{kind_of}'"
        )


def _check_words(what: str, name: str, summary: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} name {name!r} is not lower-case letters, digits, - and _")
    if not summary.strip() or len(summary.splitlines()) > 1:
        raise ValueError(f"{what} {name!r} needs a summary of one line")
