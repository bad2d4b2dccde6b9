"""A component's options: read off its constructor, checked strictly before anything starts.

The options of a component are the keyword-only arguments of its constructor; their types, defaults
and meanings are what is written there. What the run itself decides (the number of landmarks, the
size of the images) is given to every constructor that has an argument of that name, and is not an
option.
"""

import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.places import place_of_class
from lmkit.registry.values import Text, convert, kind_inside, supported, type_name

__all__ = [
    "GIVEN_BY_RUN",
    "REQUIRED",
    "Option",
    "Text",
    "check_options",
    "convert",
    "options_of",
    "parts_of",
    "type_name",
    "wanted_from_run",
]

GIVEN_BY_RUN: Mapping[str, str] = {
    "landmarks": "number of landmarks K (--landmarks)",
    "image_size": "side of the square images in pixels (--set run.image_size)",
}
"""Constructor arguments that the run fills in."""

RESERVED: Mapping[str, str] = {
    "name": "it says in the settings which component is meant",
    "weight": "it is the weight of a loss, which belongs to the run",
    "from_run": "it says of which run a component is",
}
"""What stands beside a component's options in its section, and can be none of them."""

REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""

_ARGS = re.compile(r"^Args:\n(.*?)(?=^\S|\Z)", re.S | re.M)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a component: its name, type, default and meaning."""

    name: str
    annotation: Any
    default: Any
    meaning: str

    @property
    def type_name(self) -> str:
        """The type as a user reads it."""
        return type_name(self.annotation)


def options_of(cls: type, given_by_run: Collection[str] = GIVEN_BY_RUN) -> list[Option]:
    """Return the options of a component class, in the order of its constructor.

    Args:
        cls: The class.
        given_by_run: Arguments that are not options.

    Raises:
        LmkitError: If the constructor takes arguments by position, or if an option has no type,
            one that cannot be typed, or a default that is not of its type.
    """
    options = {name: each for name, each in _keywords(cls).items() if name not in given_by_run}
    for name, meaning in RESERVED.items() if given_by_run is GIVEN_BY_RUN else ():
        if name in options:
            raise _author_error(cls, name, f"would never be given: {meaning}", "rename it")
    hints, meanings = _hints(cls), _meanings(cls)
    return [
        Option(
            name,
            annotation := _annotation(cls, name, hints),
            _default(cls, parameter, annotation),
            meanings.get(name, ""),
        )
        for name, parameter in options.items()
    ]


def wanted_from_run(cls: type) -> list[str]:
    """Return which of [GIVEN_BY_RUN][lmkit.registry.options.GIVEN_BY_RUN] a constructor takes."""
    return [name for name in _keywords(cls) if name in GIVEN_BY_RUN]


def check_options(
    cls: type,
    given: Mapping[str, Any],
    *,
    section: str,
    given_by_run: Collection[str] = GIVEN_BY_RUN,
    part: Callable[[str, Any, str], Any] = lambda kind, given, where: given,
) -> dict[str, Any]:
    """Return every option of ``cls`` with its value: as given, or its default.

    Args:
        cls: The component's class.
        given: Option names and values, from a TOML file, from Python, or typed
            ([Text][lmkit.registry.values.Text]).
        section: Where the options stand in the settings (``detector``, ``loss.perceptual``).
        given_by_run: Arguments that are not options.
        part: Checks what is given for a component inside, by its kind and place in the settings;
            taken as it is if not given.

    Raises:
        LmkitError: If an option is unknown, missing, or not of its type.
    """
    options = {option.name: option for option in options_of(cls, given_by_run)}
    for name in given:
        if name in given_by_run:
            meaning = GIVEN_BY_RUN.get(name, name)
            raise LmkitError(
                f"{section}.{name} is the same for the whole run and not an option of {section}.",
                remedy=f"Set the {meaning} instead.",
            )
        if name not in options:
            raise LmkitError(
                f"{section}.{name}: {cls.__name__} has no option '{name}'.",
                remedy=did_you_mean(name, options, all_of_them="It has"),
            )
    values: dict[str, Any] = {}
    for name, option in options.items():
        kind = kind_inside(option.annotation)
        if name in given and kind:
            is_none = given[name] is None or str(given[name]).lower() == "none"
            where = f"{section}.{name}"
            if is_none and supports_none(option.annotation):
                values[name] = None
            else:
                values[name] = part(kind, given[name], where)
        elif name in given:
            values[name] = convert(given[name], option.annotation, where=f"{section}.{name}")
        elif option.default is REQUIRED:
            raise LmkitError(
                f"{section}.{name} is needed: {option.meaning.rstrip('.') or option.type_name}.",
                remedy=f"Give it with --set {section}.{name}={'NAME' if kind else 'VALUE'}."
                + (f" lmkit list {kind} shows them." if kind else ""),
            )
        else:
            values[name] = option.default
    return values


def supports_none(annotation: Any) -> bool:
    """Return whether an option may be none."""
    return type(None) in typing.get_args(annotation)


def parts_of(cls: type) -> dict[str, str]:
    """Return the options of a component that take components, and the kind of each."""
    kinds = {option.name: kind_inside(option.annotation) for option in options_of(cls)}
    return {name: kind for name, kind in kinds.items() if kind}


def _keywords(cls: type) -> dict[str, inspect.Parameter]:
    _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    kinds = inspect.Parameter
    for parameter in parameters:
        if parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
            # It would be neither filled in nor settable.
            raise _author_error(
                cls,
                parameter.name,
                "can be given by position",
                "make it keyword-only, with a * after self",
            )
    return {each.name: each for each in parameters if each.kind is kinds.KEYWORD_ONLY}


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception as error:
        raise LmkitError(
            f"The types of the options of {cls.__module__}.{cls.__qualname__} cannot be read: "
            f"{type(error).__name__}: {error}{place_of_class(cls, '__init__()')}.",
            remedy="Its author has to import them where they are there at run time.",
            code=ExitCode.PLUGIN,
        ) from error


def _annotation(cls: type, name: str, hints: Mapping[str, Any]) -> Any:
    if name not in hints:
        raise _author_error(cls, name, "has no type", "annotate it in the constructor")
    if not supported(hints[name]):
        raise _author_error(
            cls,
            name,
            f"has the type {hints[name]}, which cannot be typed on a command line",
            "use bool, int, float, str, Path, None, Literal, lists and tuples of these, or unions",
        )
    return hints[name]


def _default(cls: type, parameter: inspect.Parameter, annotation: Any) -> Any:
    if parameter.default is REQUIRED:
        return REQUIRED
    if kind_inside(annotation):
        if parameter.default is not None or not supports_none(annotation):
            raise _author_error(
                cls,
                parameter.name,
                "is a component and has a default",
                f"leave it without one, or write {parameter.name}: "
                f"{kind_inside(annotation).title()} | None = None",
            )
        return None
    try:
        return convert(parameter.default, annotation, where=parameter.name)
    except LmkitError as error:
        # It would be written to the run's settings, and refused when they are read again.
        raise _author_error(
            cls,
            parameter.name,
            f"has a default that is not of its type ({error.problem.rstrip('.')})",
            "correct one of them",
        ) from None


def _author_error(cls: type, name: str, problem: str, remedy: str) -> LmkitError:
    return LmkitError(
        f"Option '{name}' of {cls.__module__}.{cls.__qualname__} {problem}"
        f"{place_of_class(cls, '__init__()')}.",
        remedy=f"Its author has to {remedy}.",
        code=ExitCode.PLUGIN,
    )


def _meanings(cls: type) -> dict[str, str]:
    """Read the ``Args:`` section of a Google-style docstring, of the class or its constructor."""
    meanings: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        for text in (owner.__doc__, getattr(owner.__dict__.get("__init__"), "__doc__", None)):
            section = _ARGS.search(inspect.cleandoc(text or ""))
            # What is indented more than the entries goes on.
            entries = textwrap.dedent(section.group(1)) if section else ""
            for entry in re.split(r"^(?=\S)", entries, flags=re.M):
                name, _, meaning = entry.partition(":")
                meanings[name.split("(")[0].strip()] = _plain(meaning)
    return meanings


def _plain(meaning: str) -> str:
    """Return a meaning without the docs' markup: ``[text][target]`` and double backticks."""
    joined = " ".join(meaning.split()).replace("``", "")
    return re.sub(r"\[([^\]]+)\]\[[^\]]*\]", r"\1", joined)
