import math
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.values import Text, convert, supported, type_name

Start = Literal["scratch", "finetune"]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("-1", int, -1),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("False", bool, False),
        ("a b, c", str, "a b, c"),
        ("", str, ""),
        ("3", str, "3"),
        ("a/b.pth", Path, Path("a/b.pth")),
        ("finetune", Start, "finetune"),
        ("2", Literal[1, 2], 2),
        ("false", Literal[False, "auto"], False),
        ("auto", Literal[False, "auto"], "auto"),
        ("none", Literal[None, "auto"], None),
        ("none", float | None, None),
        ("None", Optional[Path], None),  # noqa: UP045 - what older plugins write
        ("none", str | None, None),
        ("0.5", float | None, 0.5),
        ("x", str | None, "x"),
        ("3", Union[int, str], 3),  # noqa: UP007 - what older plugins write
        ("x", int | str, "x"),
        ("1,2", tuple[int, int], (1, 2)),
        ("1, 0.5", tuple[int, float], (1, 0.5)),
        ("relu1_2,relu2_2", tuple[str, ...], ("relu1_2", "relu2_2")),
        ("relu1_2", tuple[str, ...], ("relu1_2",)),
        ("1,2,", list[int], [1, 2]),
        ("", tuple[str, ...], ()),
        ("a,b", tuple[Literal["a", "b"], ...], ("a", "b")),
        ("1,none", list[int | None], [1, None]),
        ("none", tuple[int, ...] | None, None),
        ("7", Any, "7"),
    ],
)
def test_typed_text_is_parsed_as_its_type(text, annotation, value):
    converted = convert(Text(text), annotation, where="a.b")
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (0.5, float, 0.5),
        (True, bool, True),
        ("x", str, "x"),
        (Path("x"), str, "x"),
        ("x", Path, Path("x")),
        (Path("x"), Path, Path("x")),
        ("scratch", Start, "scratch"),
        (None, int | None, None),
        (3, int | None, 3),
        (3, str | int, 3),
        (True, int | bool, True),
        ([1, 2], tuple[int, int], (1, 2)),
        ((1, 2), list[int], [1, 2]),
        ([], tuple[str, ...], ()),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ({"a": 1}, Any, {"a": 1}),
    ],
)
def test_values_of_toml_and_python_keep_their_type(value, annotation, expected):
    converted = convert(value, annotation, where="a.b")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (False, float),
        (1, bool),
        ("true", bool),
        ("3", int),
        ("3", float),
        (1.0, int),
        (1.5, int),
        (3, str),
        (None, str),
        (None, int),
        ("none", int | None),
        (True, Literal[1, 2]),
        (1, Literal[True, "auto"]),
        (1.0, Literal[1, 2]),
        ("1", Literal[1, 2]),
        ("1,2", tuple[int, int]),
        ([1], tuple[int, int]),
        ([1, 2, 3], tuple[int, int]),
        ([1, True], tuple[int, int]),
        ([1], list[str]),
        ({1, 2}, tuple[int, ...]),
        ({"a": 1}, int | str),
        (10**400, float),
        ("", Path),
    ],
)
def test_nothing_else_is_bent(value, annotation):
    with pytest.raises(LmkitError) as caught:
        convert(value, annotation, where="a.b")
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("spell", [float, lambda number: Text(number)])
@pytest.mark.parametrize("annotation", [float, float | None, tuple[float, ...]])
def test_numbers_are_finite(number, spell, annotation):
    value = spell(number)
    if annotation == tuple[float, ...] and not isinstance(value, Text):
        value = [value]
    with pytest.raises(LmkitError):
        convert(value, annotation, where="a.b")


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        (Text("x"), int, "net.depth=x is not a whole number."),
        ("3", int, "net.depth='3' is not a whole number."),
        (True, int, "net.depth=True is not a whole number."),
        (Text("nan"), float, "net.depth=nan is not finite."),
        (math.inf, float | None, "net.depth=inf is not finite."),
        (Text("yes"), bool, "net.depth=yes is not true or false."),
        (3, str, "net.depth=3 is not text."),
        (Text("x"), int | None, "net.depth=x is not a whole number or none."),
        (Text("scrach"), Start, "net.depth=scrach is not one of scratch, finetune."),
        (Text("1"), tuple[int, int], "net.depth=1 is not 2 whole numbers."),
        (Text("1,,2"), list[int], "net.depth=1,,2 is not a list of whole numbers."),
        (Text("x"), tuple[int, str], "net.depth=x is not 2 values (whole number, text)."),
        (["x" * 200], int, f"net.depth=['{'x' * 78} is not a whole number."),
    ],
)
def test_a_refusal_says_what_was_given_and_what_is_wanted(value, annotation, message):
    with pytest.raises(LmkitError) as caught:
        convert(value, annotation, where="net.depth")
    assert caught.value.problem == message


@pytest.mark.parametrize(
    ("value", "annotation", "remedy"),
    [
        ("x", int, "Give a whole number, such as --set net.depth=4."),
        ("x", float | None, "Give a number or none, such as --set net.depth=0.5."),
        ("x", None | int, "Give none or whole number, such as --set net.depth=4."),
        (3, tuple[str, ...], "Give a list of words, such as --set net.depth=word,word."),
        ("x", tuple[int, float], "Give 2 values (whole number, number), such as --set "),
        (Text("scrach"), Start, "Did you mean 'scratch'?"),
        (Text("xyz"), Start, "Give one of these: finetune, scratch."),
        (Text("xyz"), Literal[True, None, "a"], "Give one of these: a, none, true."),
    ],
)
def test_a_refusal_shows_a_value_that_would_do(value, annotation, remedy):
    with pytest.raises(LmkitError) as caught:
        convert(value, annotation, where="net.depth")
    assert caught.value.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "whole number"),
        (float, "number"),
        (bool, "true or false"),
        (str, "text"),
        (Path, "path"),
        (int | None, "whole number or none"),
        (Start, "one of scratch, finetune"),
        (tuple[int, ...], "list of whole numbers"),
        (list[str], "list of words"),
        (list[int | None], "list of whole numbers or none"),
        (tuple[Start, ...], "list of any of scratch, finetune"),
        (tuple[float, float], "2 numbers"),
        (tuple[int], "1 whole number"),
        (tuple[int, str, float], "3 values (whole number, text, number)"),
    ],
)
def test_types_are_named_in_words(annotation, name):
    assert type_name(annotation) == name
    assert supported(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        dict[str, int],
        bytes,
        complex,
        tuple,
        list,
        set[int],
        int | bytes,
        list[dict[str, int]],
        list[tuple[int, int]],
        list[list[int] | None],
        Literal[b"x"],
    ],
)
def test_what_a_command_line_cannot_say_is_no_type_of_an_option(annotation):
    assert not supported(annotation)
