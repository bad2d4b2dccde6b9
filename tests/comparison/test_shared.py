"""Images in common: nothing that trained any of the runs tests."""

import pytest

from lmkit.comparison.shared import common
from lmkit.data.split import Split
from lmkit.errors import ExitCode, LmkitError
from lmkit.preparation.prepared import Prepared


def prepared(train, fit, test):
    """Stand in for data whose images have single letters as names."""
    letters = "abcdefgh"

    class Letters:
        def key(self, index):
            return letters[index]

    split = Split(*(list(map(letters.index, part)) for part in (train, fit, test)))
    return Prepared(None, Letters(), split, None, None)


def test_images_in_common_fit_in_all_and_test_in_all():
    first, second = prepared("abcd", "abcd", "efgh"), prepared("defh", "defh", "agbc")
    assert common([first, first], [first, first]) == (list("abcd"), list("efgh"))
    assert common([first, second], [first, second]) == (["d"], ["g"])
    # The second never saw the data: what it would hold out does not matter ...
    assert common([first, second], [first]) == (list("abcd"), list("efgh"))
    # ... but what it cannot use is left out.
    assert common([first, prepared("abe", "abe", "fg")], [first]) == (list("ab"), list("efg"))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (("ef", "ef", "ab"), "no image to fit on"),
        (("abef", "ab", "cd"), "no image to test with"),
    ],
)
def test_runs_without_common_images_are_refused(second, says):
    parts = [prepared("abcd", "abcd", "ef"), prepared(*second)]
    with pytest.raises(LmkitError, match=says) as caught:
        common(parts, parts)
    assert caught.value.code == ExitCode.DATA
