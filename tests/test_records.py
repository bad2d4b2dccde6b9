"""Records: what was written is what is read, and whatever else is refused."""

import json
import os

import pytest

from lmkit.records import (
    ChangedError,
    checksum,
    describe_file,
    describes_file,
    differs,
    is_count,
    load_record,
    write_record,
)

CONTENT = {"step": 4, "files": {"a": {"bytes": 3}}, "names": ["ä", "\udcff"], "share": 0.1}


@pytest.fixture
def file(tmp_path):
    write_record(tmp_path / "record.json", CONTENT)
    return tmp_path / "record.json"


def test_a_record_is_read_as_it_was_written(file):
    assert load_record(file) == CONTENT
    written = json.loads(file.read_text())
    assert next(iter(written)) == "checksum"
    assert written.pop("checksum") == checksum(CONTENT)
    assert written == CONTENT


def test_what_is_not_text_as_a_key_is_read_as_text(tmp_path):
    write_record(tmp_path / "record.json", {"by": {10: "b", 9: "a"}, "pair": (1, 2)})
    assert load_record(tmp_path / "record.json") == {"by": {"10": "b", "9": "a"}, "pair": [1, 2]}


def test_every_flipped_bit_is_noticed_or_changes_nothing(file):
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            file.write_bytes(content)
            try:
                found = load_record(file)
            except (OSError, ValueError):
                continue
            # A flip in the word "checksum" leaves a record without one, and with one value more.
            assert CONTENT.items() <= found.items(), (place, bit)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 5},
        {"step": 4.0},
        {"step": "4"},
        {"step": True},
        {"share": 0.10000000000000002},
        {"more": None},
        {"names": ["\udcff", "ä"]},
        {"checksum": None},
    ],
)
def test_another_value_is_noticed(file, change):
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, **change}))
    with pytest.raises(ChangedError, match="changed after it was written"):
        load_record(file)


def test_another_order_is_noticed_and_another_layout_is_not(file):
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record))
    assert load_record(file) == CONTENT
    file.write_text(json.dumps(dict(reversed(record.items()))))
    with pytest.raises(ChangedError):
        load_record(file)


def test_removing_the_line_of_the_checksum_leaves_a_record_that_is_read(file):
    first, checksum_line, *rest = file.read_text().splitlines()
    assert '"checksum"' in checksum_line
    file.write_text("\n".join([first, *rest]).replace('"step": 4', '"step": 5'))
    assert load_record(file) == {**CONTENT, "step": 5}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"step": ', "Expecting value"),
        (b"\xff\xfe", "can't decode"),
        (b"[1]", "it holds no table of values, but a list"),
        (b"3", "but a number"),
        (b"null", "but null"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested too deeply"),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
        (b'{"a": "' + b"x" * 3000 + b'"}', "larger than 2,000 bytes"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, reason):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        load_record(tmp_path / "record.json", largest=2000 if b"xx" in content else 2**24)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "record.json")
    with pytest.raises(OSError, match="not a file"):
        load_record(tmp_path / "record.json")


def test_files_are_told_apart_by_what_a_record_says_of_them(tmp_path):
    file = tmp_path / "values"
    file.write_bytes(b"abc")
    entry = describe_file(file)
    assert describes_file(entry)
    assert differs(file, entry) is None
    file.write_bytes(b"abd")
    assert differs(file, entry) == "its SHA-256 differs"
    file.write_bytes(b"abcd")
    assert differs(file, entry) == "it has 4 bytes, of 3 that were written"


@pytest.mark.parametrize(
    "entry",
    [
        *(None, [], {}, {"bytes": 3}, {"bytes": 3, "sha256": 3}, {"bytes": 3, "sha256": "ab"}),
        *({"bytes": -1, "sha256": "0" * 64}, {"bytes": "3", "sha256": "0" * 64}),
    ],
)
def test_what_describes_no_file_is_told(entry):
    assert not describes_file(entry)


def test_counts_are_whole_numbers_of_64_bits():
    assert [is_count(value) for value in (0, 7, 2**63 - 1)] == [True] * 3
    assert not any(is_count(value) for value in (-1, 2**63, True, 1.0, "1", None, [1]))
