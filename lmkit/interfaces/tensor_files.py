"""Files of tensors, looked over before memory is taken for what they claim to hold.

The format is [safetensors](https://github.com/huggingface/safetensors): the length of a header in
eight bytes, the header in JSON, and the values of the tensors without gaps.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lmkit.records import is_count

_LONGEST_HEADER = 100_000_000  # bytes, as the format has it
_MOST_AXES = 64  # as torch has it
_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_DTYPES = {name: getattr(torch, own) for name, own in _NAMES.items()}


class Form(NamedTuple):
    """The type and shape of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How much memory its values take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        size = " x ".join(str(side) for side in self.shape) or "one number"
        return f"{size} of {str(self.dtype).removeprefix('torch.')}"


def form_of(tensor: Tensor) -> Form:
    """Return the type and shape of a tensor."""
    return Form(tensor.dtype, tuple(tensor.shape))


def forms_of(tensors: Mapping[str, Tensor]) -> dict[str, Form]:
    """Return the types and shapes of tensors, by name."""
    return {name: form_of(tensor) for name, tensor in tensors.items()}


class State(NamedTuple):
    """The types and shapes of a network's state."""

    forms: Mapping[str, Form]
    """By name."""
    strict: bool
    """Whether the network loads nothing else. It may have a way of its own of loading states, such
    as those of a former version."""

    def objection(self, found: Mapping[str, Form]) -> str | None:
        """Return why the network cannot load what a file holds; None where only loading tells.

        Args:
            found: What the file holds.
        """
        other = difference(found, self.forms)
        if other is None or self.strict:
            return other
        # Whatever a network makes of a former state, it is not made of next to nothing.
        return other if _bytes(self.forms) > 2 * _bytes(found) + _LITTLE else None


_LITTLE = 2**20


def _bytes(forms: Mapping[str, Form]) -> int:
    return sum(form.bytes for form in forms.values())


def state_of(network: nn.Module) -> State:
    """Return the types and shapes that a network's state has now, and what it may load."""
    own: list[Any] = [type(network).load_state_dict]
    own += [type(module)._load_from_state_dict for module in network.modules()]
    hooks = any(module._load_state_dict_pre_hooks for module in network.modules())
    strict = not hooks and all(each.__module__.partition(".")[0] == "torch" for each in own)
    return State(forms_of(network.state_dict()), strict)


def read_forms(file: Path) -> dict[str, Form]:
    """Read which tensors a file holds, and none of their values.

    Args:
        file: A ``.safetensors`` file, from anywhere.

    Returns:
        Type and shape by name.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not such a file, or does not hold what it claims to.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise ValueError("its header is longer than the file or than the format allows")
        text = stream.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header names no tensors")
    header.pop("__metadata__", None)
    forms, places = {}, []
    for name, entry in header.items():
        forms[name], place = _read_entry(name, entry)
        places.append(place)
    end = 0
    for start, stop in sorted(places):
        if start != end:
            raise ValueError("its tensors overlap or leave gaps")
        end = stop
    if end != size - 8 - length:
        raise ValueError("its tensors do not fill the file")
    return forms


def load_tensors(file: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a file of tensors, after its header was [looked over][lmkit.interfaces.tensor_files].

    Args:
        file: A ``.safetensors`` file, from anywhere.
        device: Where the tensors are put.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not such a file, or does not hold what it claims to.
    """
    read_forms(file)
    try:
        return load_file(file, device=device)
    except OSError:
        raise
    except Exception as error:
        # Whatever the library objects to beyond that: its errors have no common base.
        raise ValueError(f"it is not read: {' '.join(str(error).split())[:200]}") from None


def difference(found: Mapping[str, Form], wanted: Mapping[str, Form]) -> str | None:
    """Return the first way in which tensors are not those that are wanted; None if they are.

    Args:
        found: What a file holds.
        wanted: What is to be read from it.
    """
    if missing := wanted.keys() - found.keys():
        return f"it lacks {min(missing)}"
    if extra := found.keys() - wanted.keys():
        return f"it holds {min(extra)[:80]}, for which there is no place"
    for name, form in wanted.items():
        if found[name] != form:
            return f"{name} is {found[name]}, where {form} belongs"
    return None


def _read_entry(name: str, entry: Any) -> tuple[Form, tuple[int, int]]:
    """Return a tensor's type and shape, and where in the file its values start and stop."""
    fields = entry if isinstance(entry, dict) else {}
    dtype = _DTYPES.get(str(fields.get("dtype")))
    shape, place = _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    if dtype is None or shape is None or place is None or len(place) != 2:
        raise ValueError(f"its header does not describe {name[:80]}")
    form = Form(dtype, shape)
    if len(shape) > _MOST_AXES or form.bytes != place[1] - place[0]:
        raise ValueError(f"{name[:80]} is not as large as its shape")
    # A tensor without values may still have sides that no memory could be addressed by.
    if math.prod(max(side, 1) for side in shape) * dtype.itemsize >= 2**63:
        raise ValueError(f"{name[:80]} is larger than any memory")
    return form, (place[0], place[1])


def _counts(values: Any) -> tuple[int, ...] | None:
    """Return a list of whole numbers of at least 0; None if it is anything else."""
    if isinstance(values, list) and all(is_count(value) for value in values):
        return tuple(values)
    return None
