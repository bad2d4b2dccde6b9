"""MATLAB files."""

import numpy as np
import pytest
from scipy.io import savemat

from lmkit.data.sets.matlab import items, read_matlab
from lmkit.errors import ExitCode, LmkitError


def test_variables_are_read_and_others_may_be_missing(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"gt": np.ones((3, 2)), "more": 1})
    assert read_matlab(path, "gt", "hw").keys() - {"__header__", "__version__", "__globals__"} == {
        "gt"
    }
    np.testing.assert_array_equal(read_matlab(path, "gt")["gt"], np.ones((3, 2)))
    with pytest.raises(LmkitError, match=r"a.mat has no variable 'hw'") as caught:
        read_matlab(path, "hw", "gt")
    assert caught.value.code == ExitCode.DATA


@pytest.mark.parametrize("content", [b"", b"words", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(LmkitError, match=r"a.mat cannot be read as a MATLAB file") as caught:
        read_matlab(path, "gt")
    assert "Download" in caught.value.remedy


def test_the_newer_form_is_named(tmp_path):
    path = tmp_path / "a.mat"
    # The header as MATLAB writes it before an HDF5 file: version 2.0, little-endian.
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(64))
    with pytest.raises(LmkitError, match=r"MATLAB 7\.3") as caught:
        read_matlab(path, "gt")
    assert "-v7" in caught.value.remedy


def test_items_of_arrays_of_any_length():
    assert items(None) == []
    assert items(np.zeros((0, 0))) == []
    assert items({"a": 1}) == [{"a": 1}]
    assert items([1, 2]) == [1, 2]
    assert items(np.array([[1, 2]])) == [1, 2]
    assert items(7) == [7]
    assert items(np.uint8(7)) == [7]
