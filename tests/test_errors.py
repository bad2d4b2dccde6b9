import copy
import pickle

import pytest

from lmkit.errors import ExitCode, LmkitError, did_you_mean


def test_an_error_says_what_is_wrong_and_what_to_do():
    error = LmkitError("K=0 is too small.", remedy="Give 1 or more.")
    assert (error.problem, error.remedy) == ("K=0 is too small.", "Give 1 or more.")
    assert str(error) == "K=0 is too small. Give 1 or more."
    assert error.code is ExitCode.USAGE


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_crosses_processes_whole(again):
    error = LmkitError("Gone.", remedy="Look.", code=ExitCode.DATA)
    twin = again(error)
    assert (twin.problem, twin.remedy, twin.code) == ("Gone.", "Look.", ExitCode.DATA)


def test_exit_codes_are_those_that_are_documented():
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "DATA": 3,
        "PLUGIN": 4,
        "RUN": 5,
        "DIVERGED": 6,
        "STORAGE": 7,
        "LOST": 8,
        "HANGUP": 129,
        "INTERRUPTED": 130,
        "NOTICE": 138,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize("given", ["hourglas", "HourGlass", "hour-glass"])
def test_the_closest_word_is_proposed_whatever_its_case(given):
    assert did_you_mean(given, ["unet", "hourglass"]) == "Did you mean 'hourglass'?"


def test_where_none_is_close_all_are_listed():
    assert did_you_mean("xyz", ["b", "a"], all_of_them="They are") == "They are: a, b."
    assert did_you_mean("xyz", []) == "Known: none."
