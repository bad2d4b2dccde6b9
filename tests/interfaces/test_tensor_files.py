"""Files of tensors from anywhere: only what they can hold is believed."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lmkit.interfaces.tensor_files import (
    Form,
    difference,
    forms_of,
    load_tensors,
    read_forms,
    state_of,
)

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "mask": torch.tensor([True, False]),
    "count": torch.tensor(7),
    "none": torch.zeros(0, 4, dtype=torch.float16),
}


@pytest.fixture
def file(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors", metadata={"made": "here"})
    return tmp_path / "a.safetensors"


def test_the_header_says_what_is_there(file):
    assert read_forms(file) == forms_of(TENSORS)
    loaded = load_tensors(file)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    ],
)
def test_every_type_that_is_written_is_read(tmp_path, dtype):
    tensors = {"x": torch.ones(3, dtype=dtype)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert read_forms(tmp_path / "x.safetensors") == {"x": Form(dtype, (3,))}
    assert torch.equal(load_tensors(tmp_path / "x.safetensors")["x"], tensors["x"])


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


FORGED = {
    "no table": ([], "names no tensors"),
    "no description": ({"x": None}, "does not describe x"),
    "a list of one": ({"x": [1]}, "does not describe x"),
    "no type": ({"x": entry(dtype=None)}, "does not describe x"),
    "an unknown type": ({"x": entry(dtype="F31")}, "does not describe x"),
    "a negative side": ({"x": entry(shape=(-2,))}, "does not describe x"),
    "a fraction": ({"x": entry(shape=(2.0,))}, "does not describe x"),
    "true": ({"x": entry(shape=(True, 2))}, "does not describe x"),
    "text": ({"x": entry(shape="2")}, "does not describe x"),
    "a side beyond 64 bits": ({"x": entry(shape=(2**70,))}, "does not describe x"),
    "one place": ({"x": entry(offsets=(0,))}, "does not describe x"),
    "another size": ({"x": entry(shape=(3,))}, "not as large as its shape"),
    "backwards": ({"x": entry(offsets=(8, 0))}, "not as large as its shape"),
    "100 axes": ({"x": entry(shape=(1,) * 99 + (2,))}, "not as large as its shape"),
    "sides without end": ({"x": entry(shape=(0, 2**62), offsets=(0, 0))}, "larger than any"),
    "a gap": ({"x": entry(offsets=(4, 12))}, "overlap or leave gaps"),
    "an overlap": ({"x": entry(), "y": entry(offsets=(4, 12))}, "overlap or leave gaps"),
    "too little": ({"x": entry(shape=(1,), offsets=(0, 4))}, "do not fill the file"),
    "too much": ({"x": entry(shape=(4,), offsets=(0, 16))}, "do not fill the file"),
}


@pytest.mark.parametrize(("header", "reason"), FORGED.values(), ids=FORGED)
def test_a_forged_header_is_refused(tmp_path, header, reason):
    text = json.dumps(header).encode()
    file = tmp_path / "forged.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    for read in (read_forms, load_tensors):
        with pytest.raises(ValueError, match=reason):
            read(file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header is longer"),
        (b"1234567", "header is longer"),
        (struct.pack("<Q", 3) + b"{}", "header is longer"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "header is longer"),
        (struct.pack("<Q", 2) + b"{]", "not JSON"),
        (struct.pack("<Q", 2) + b"\xff\xff", "not JSON"),
        (struct.pack("<Q", 10**6) + b"[" * 10**6, "not JSON"),
    ],
)
def test_what_has_no_header_is_refused(tmp_path, content, reason):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_forms(tmp_path / "x.safetensors")


def test_the_first_difference_is_told():
    wanted = {"a": Form(torch.float32, (2, 3)), "b": Form(torch.int64, ())}
    assert difference(wanted, wanted) is None
    assert difference({"a": wanted["a"]}, wanted) == "it lacks b"
    assert difference({**wanted, "c": wanted["b"]}, wanted) == (
        "it holds c, for which there is no place"
    )
    assert difference({**wanted, "a": Form(torch.float32, (3, 2))}, wanted) == (
        "a is 3 x 2 of float32, where 2 x 3 of float32 belongs"
    )
    assert difference({**wanted, "b": Form(torch.int32, ())}, wanted) == (
        "b is one number of int32, where one number of int64 belongs"
    )


def test_a_network_that_loads_former_states_is_left_to_do_so_with_any_of_its_size():
    network = nn.Linear(300, 300)
    state = state_of(network)
    former = {"old_weight": Form(torch.float32, (300, 300)), "bias": Form(torch.float32, (300,))}
    assert state.objection(former) == "it lacks weight"
    network.register_load_state_dict_pre_hook(lambda *_: None)
    assert state_of(network).objection(former) is None
    large = nn.Linear(3000, 300, device="meta")
    large.register_load_state_dict_pre_hook(lambda *_: None)
    assert state_of(large).objection(former) == "it lacks weight"


def test_a_network_with_a_way_of_loading_of_its_own_is_told_by_its_class():
    class Own(nn.Linear):
        def _load_from_state_dict(self, *arguments):
            super()._load_from_state_dict(*arguments)

    assert state_of(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))).strict
    assert not state_of(nn.Sequential(Own(1, 1))).strict
