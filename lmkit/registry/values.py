"""Values of options: from typed text, TOML or Python to exactly the type an option has."""

import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from lmkit.errors import LmkitError, did_you_mean

_NAMES: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    str: ("text", "words"),
    Path: ("path", "paths"),
    types.NoneType: ("none", "none"),
    Any: ("value", "values"),
}
"""How a user reads a type: for one value, and for several."""

_EXAMPLE: dict[Any, str] = {bool: "true", int: "4", float: "0.5", str: "word", Path: "some/file"}


class Text(str):
    """A value typed on the command line: its type is the option's to decide."""

    __slots__ = ()


def as_typed(value: Any) -> str:
    """Return an option's value as one would type it after ``--set``."""
    if isinstance(value, (list, tuple)):
        return ",".join(as_typed(each) for each in value)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{key}={as_typed(each)}" for key, each in value.items())
    return str(value)


def convert(value: Any, annotation: Any, *, where: str) -> Any:
    """Return ``value`` as the type ``annotation``; typed text is parsed, nothing else is bent.

    Args:
        value: From a TOML file, from Python, or typed ([Text][lmkit.registry.values.Text]).
        annotation: A type that is [supported][lmkit.registry.values.supported].
        where: What the value is for, for messages (``detector.depth``).

    Raises:
        LmkitError: If it is not of that type.
    """
    try:
        return _convert(value, annotation)
    except (ValueError, OverflowError):
        reason = _with_article(type_name(annotation))
        if _is_endless(value):
            reason = "finite"
        elif _is_too_long(value):
            reason += " of 64 bits"
        raise LmkitError(
            f"{where}={_shown(value)} is not {reason}.", remedy=_remedy(value, annotation, where)
        ) from None


def supported(annotation: Any) -> bool:
    """Whether an option can be of this type: what text, TOML and JSON can all say."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return all(type(choice) in (str, int, bool, types.NoneType) for choice in arguments)
    if kind_inside(annotation):
        return True
    if members := _parts(annotation):
        return all(supported(part) for part in members)
    if origin in (tuple, list):
        parts = [part for part in arguments if part is not Ellipsis]
        # No lists in lists: typed text has but one comma.
        flat = not any(_is_sequence(inner) for part in parts for inner in (part, *_parts(part)))
        return bool(parts) and flat and all(supported(part) for part in parts)
    return annotation in _NAMES


def kind_inside(annotation: Any) -> str:
    """Return the kind of component that an option of this type takes; empty for plain values.

    Such an option is annotated with its kind's interface, ``first: Detector``, perhaps or none.
    """
    members = [part for part in _parts(annotation) if part is not types.NoneType] or [annotation]
    if len(members) == 1 and isinstance(members[0], type):
        return str(getattr(members[0], "component_kind", ""))
    return ""


def type_name(annotation: Any) -> str:
    """Return a type as a user reads it: ``whole number``, ``one of a, b``, ``list of words``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and kind_inside(annotation):
        return kind_inside(annotation)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + _choices(annotation)
    if members := _parts(annotation):
        return " or ".join(type_name(part) for part in members)
    if origin is tuple and Ellipsis not in arguments:
        count = len(arguments)
        if len(set(arguments)) > 1:
            return f"{count} values ({', '.join(type_name(part) for part in arguments)})"
        return f"{count} {type_name(arguments[0]) if count == 1 else _plural(arguments[0])}"
    if origin in (tuple, list):
        return f"list of {_plural(arguments[0])}"
    return _NAMES[annotation][0] if annotation in _NAMES else str(annotation)


def _convert(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return str(value) if isinstance(value, Text) else value
    if members := _parts(annotation):
        # "none" is also a text and a path: where it can be meant, it is.
        parts = sorted(members, key=lambda part: part is not types.NoneType)
        return _first(lambda part: _convert(value, part), parts)
    if origin is Literal:
        return _first(lambda choice: _same(value, choice), arguments)
    if origin in (tuple, list):
        return _convert_sequence(value, origin, arguments)
    if annotation is types.NoneType:
        if value is None or (isinstance(value, Text) and value.strip().lower() == "none"):
            return None
        raise ValueError
    return _convert_scalar(value, annotation)


def _convert_scalar(value: Any, annotation: Any) -> Any:
    typed = isinstance(value, Text)
    if annotation is bool:
        if isinstance(value, bool):
            return value
        if typed and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    elif annotation is int:
        if typed or (isinstance(value, int) and not isinstance(value, bool)):
            number = int(value)
            # Nothing that computes with it takes a longer one.
            if _is_too_long(number):
                raise OverflowError
            return number
    elif annotation is float:
        # TOML writes 1 where 1.0 is meant; the other way round would lose something.
        if typed or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            real = float(value)
            # JSON, in which a run keeps its settings, has no nan and no inf.
            if math.isfinite(real):
                return real
    elif annotation is str:
        if isinstance(value, (str, Path)):
            return str(value)
    elif annotation is Path:
        # An empty path would mean the working directory.
        if isinstance(value, (str, Path)) and str(value):
            return Path(value)
    else:
        raise TypeError(f"options of type {annotation} are not supported")
    raise ValueError


def _convert_sequence(value: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(value, Text):
        words = [Text(word.strip()) for word in value.split(",")]
        value = words if words[-1] else words[:-1]  # A comma at the end adds nothing.
        if not all(value):
            raise ValueError
    if not isinstance(value, (list, tuple)):
        raise ValueError
    if origin is tuple and Ellipsis not in arguments:
        if len(value) != len(arguments):
            raise ValueError
        return tuple(_convert(part, kind) for part, kind in zip(value, arguments, strict=True))
    return origin(_convert(part, arguments[0]) for part in value)


def _same(value: Any, choice: Any) -> Any:
    # By type as well: 1 == True, and 1 == 1.0.
    if _convert(value, type(choice)) == choice:
        return choice
    raise ValueError


def _first(attempt: Callable[[Any], Any], parts: Iterable[Any]) -> Any:
    for part in parts:
        try:
            return attempt(part)
        except (ValueError, OverflowError):
            continue
    raise ValueError


def _shown(value: Any) -> str:
    """Return the beginning of a value, for a message."""
    try:
        return (str(value) if isinstance(value, Text) else repr(value))[:80]
    except ValueError:  # Python writes out no integer of more than some thousand digits.
        return f"(a {type(value).__name__} too long to be shown)"


def _is_too_long(value: Any) -> bool:
    """Return whether something is a whole number that 64 bits do not hold."""
    try:
        return not isinstance(value, float) and abs(int(value)) >= 2**63
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, Text) and len(value) > 4000 and value.strip("+-_ ").isdecimal()


def _is_endless(value: Any) -> bool:
    try:
        return not math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union."""
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    return typing.get_args(annotation) if is_union else ()


def _is_sequence(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (tuple, list)


def _plural(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return f"any of {_choices(annotation)}"
    if parts := _parts(annotation):
        return " or ".join(_plural(part) for part in parts)
    return _NAMES[annotation][1] if annotation in _NAMES else str(annotation)


def _choices(annotation: Any) -> str:
    return ", ".join(_spelling(choice) for choice in typing.get_args(annotation))


def _spelling(choice: Any) -> str:
    return str(choice).lower() if choice is None or isinstance(choice, bool) else str(choice)


def _with_article(name: str) -> str:
    bare = name.startswith(("one of", "true or", "none", "text")) or name[0].isdigit()
    return name if bare else f"a {name}"


def _remedy(value: Any, annotation: Any, where: str) -> str:
    if typing.get_origin(annotation) is Literal:
        choices = [_spelling(choice) for choice in typing.get_args(annotation)]
        return did_you_mean(str(value), choices, all_of_them="Give one of these")
    wanted = _with_article(type_name(annotation))
    return f"Give {wanted}, such as --set {where}={_example(annotation)}."


def _example(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _spelling(arguments[0])
    if parts := _parts(annotation):
        return _example(next(part for part in parts if part is not types.NoneType))
    if origin is tuple and Ellipsis not in arguments:
        return ",".join(_example(part) for part in arguments)
    if origin in (tuple, list):
        return ",".join([_example(arguments[0])] * 2)
    return _EXAMPLE.get(annotation, "none")
