from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.options import (
    REQUIRED,
    Text,
    check_options,
    options_of,
    wanted_from_run,
)

if TYPE_CHECKING:
    from decimal import Decimal


class Base:
    """A net.

    Args:
        landmarks: The number of landmarks K.
        beta: Smoothness of the soft-argmax, see [soft_argmax][lmkit.api.soft_argmax].
        width: Channels of the base.
    """

    def __init__(self, *, landmarks: int, beta: float = 10.0, width: int = 8) -> None: ...


class Net(Base):
    """A wider net.

    Args:
        depth (int): How deep it is:
            a number from 1 to 4,

            no more.
        width: Channels.
        start: How it begins: ``scratch`` or not.

    Raises:
        weights: Not an argument.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        depth: int,
        start: Literal["scratch", "core"] = "scratch",
        weights: Path | None = None,
        beta: float = 1,
        width: int = 64,
    ) -> None: ...


def test_options_are_the_keyword_only_arguments_that_the_run_does_not_fill():
    names = [option.name for option in options_of(Net)]
    assert names == ["depth", "start", "weights", "beta", "width"]
    assert wanted_from_run(Net) == ["landmarks", "image_size"]
    assert wanted_from_run(Base) == ["landmarks"]


def test_options_know_type_and_default():
    options = {option.name: option for option in options_of(Net)}
    assert options["depth"].default is REQUIRED
    assert options["start"].type_name == "one of scratch, core"
    assert options["weights"].annotation == Path | None
    assert options["weights"].default is None
    # A whole number that stands for a float is one.
    assert type(options["beta"].default) is float


def test_meanings_are_read_from_the_docstrings_own_and_inherited():
    meanings = {option.name: option.meaning for option in options_of(Net)}
    assert meanings == {
        "depth": "How deep it is: a number from 1 to 4, no more.",
        "start": "How it begins: scratch or not.",
        "weights": "",
        "beta": "Smoothness of the soft-argmax, see soft_argmax.",
        "width": "Channels.",
    }


def test_meanings_may_stand_at_the_constructor_and_be_indented_otherwise():
    class Other:
        def __init__(self, *, depth: int = 1, width: int = 2) -> None:
            """Make it.

            Args:
              depth: How deep,
                really.
              width: How wide.
            """

    assert [option.meaning for option in options_of(Other)] == ["How deep, really.", "How wide."]


def test_classes_without_options_have_none():
    class Plain: ...

    class Module:
        def __init__(self, *args: object, **kwargs: object) -> None: ...

    assert options_of(Plain) == options_of(Module) == []
    assert check_options(Plain, {}, section="loss.plain") == {}
    with pytest.raises(LmkitError, match="It has: none"):
        check_options(Plain, {"depth": 1}, section="loss.plain")


def test_dataclasses_have_options():
    @dataclass(kw_only=True)
    class Settings:
        steps: int = 10
        device: str = "auto"

    assert check_options(Settings, {"steps": Text("20")}, section="run") == {
        "steps": 20,
        "device": "auto",
    }


def test_checking_fills_in_every_default():
    assert check_options(Net, {"depth": Text("3"), "weights": "a.pth"}, section="detector") == {
        "depth": 3,
        "start": "scratch",
        "weights": Path("a.pth"),
        "beta": 1.0,
        "width": 64,
    }


def test_checked_options_can_be_checked_again():
    once = check_options(Net, {"depth": 3}, section="detector")
    assert check_options(Net, once, section="detector") == once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"depth": 1, "widht": 3},
            "detector.widht: Net has no option 'widht'. Did you mean 'width'?",
        ),
        (
            {"depth": 1, "xyz": 3},
            "detector.xyz: Net has no option 'xyz'. It has: beta, depth, start, weights, width.",
        ),
        (
            {"depth": 1, "landmarks": 3},
            "detector.landmarks is the same for the whole run and not an option of detector. "
            "Set the number of landmarks K (--landmarks) instead.",
        ),
        (
            {},
            "detector.depth is needed: How deep it is: a number from 1 to 4, no more. "
            "Give it with --set detector.depth=VALUE.",
        ),
        (
            {"depth": "3"},
            "detector.depth='3' is not a whole number. "
            "Give a whole number, such as --set detector.depth=4.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(LmkitError) as caught:
        check_options(Net, given, section="detector")
    assert str(caught.value) == message
    assert caught.value.code is ExitCode.USAGE


def test_a_section_may_have_options_that_others_are_given():
    checked = check_options(Base, {"landmarks": 3}, section="run", given_by_run=())
    assert checked["landmarks"] == 3


class Untyped:
    def __init__(self, *, depth=3) -> None: ...


class Positional:
    def __init__(self, depth: int = 3) -> None: ...


class Unreadable:
    def __init__(self, *, depth: Decimal) -> None: ...


class Unsupported:
    def __init__(self, *, depth: dict[str, int]) -> None: ...


class IllDefault:
    def __init__(self, *, depth: Path = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (Untyped, "Untyped has no type."),
        (Positional, "Positional can be given by position."),
        (Unreadable, "NameError: name 'Decimal' is not defined."),
        (Unsupported, "has the type dict[str, int], which cannot be typed on a command line."),
        (IllDefault, "has a default that is not of its type (depth=None is not a path)."),
    ],
)
def test_an_authors_mistake_is_a_plugin_error(cls, problem):
    for ask in (options_of, lambda cls: check_options(cls, {}, section="detector")):
        with pytest.raises(LmkitError) as caught:
            ask(cls)
        assert cls.__name__ in caught.value.problem
        assert problem.rstrip(".") in caught.value.problem
        assert __file__ in caught.value.problem
        assert caught.value.remedy.startswith("Its author has to ")
        assert caught.value.code is ExitCode.PLUGIN
