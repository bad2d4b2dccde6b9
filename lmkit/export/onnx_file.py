"""ONNX files: written from a graph, read with ONNX Runtime.

The last bytes of a file are a metadata entry with the SHA-256 of all bytes before it, so that
damage is found without reading the graph. Appending an entry to a serialised model is how protobuf
adds it to a list.
"""

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmkit.errors import LmkitError
from lmkit.export.description import KEY, Description
from lmkit.export.graph import INPUT, Graph, trace
from lmkit.storage import open_file

LARGEST = 2**31
"""The bytes of the largest file: protobuf has no larger ones."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_DIGEST = b"lmkit.sha256"
# Entry 14 of ModelProto, metadata_props, which holds key (1) and value (2).
_TAIL = b"\x72\x50\x0a\x0c" + _DIGEST + b"\x12\x40"


def need_packages(names: tuple[str, ...] = _NEEDED) -> None:
    """Refuse to go on where packages are missing.

    Args:
        names: Which.

    Raises:
        LmkitError: If one is not installed.
    """
    from importlib.util import find_spec

    lacking = [name for name in names if find_spec(name) is None]
    if lacking:
        raise LmkitError(
            f"ONNX files need {' and '.join(lacking)}, which {'is' if len(lacking) == 1 else 'are'}"
            " not installed.",
            remedy="pip install 'lmkit[export]'.",
        )


def onnx_bytes(graph: Graph, description: Description) -> bytes:
    """Return a graph as the content of an ONNX file.

    Raises:
        Exception: Whatever torch or onnxscript raise where an operator cannot be exported.
    """
    program = trace(graph)
    with _quiet():
        exported = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=[INPUT],
            output_names=description.outputs,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    _name_batch(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, description.text()
    content: bytes = model.SerializeToString()
    return content + _TAIL + hashlib.sha256(content).hexdigest().encode()


def open_onnx(path: Path) -> tuple[Description, Callable[[Tensor], list[Tensor]]]:
    """Read an ONNX file that lmkit wrote.

    Returns:
        What it says of itself, and what runs it on the CPU: images (B, 3, S, S), uint8, to the
        outputs in order.

    Raises:
        LmkitError: If ONNX Runtime is not installed.
        OSError: If it cannot be read.
        ValueError: If it is damaged, or not of lmkit.
    """
    need_packages(("onnxruntime",))
    import onnxruntime

    content = _verified(path)
    options = onnxruntime.SessionOptions()
    # As many as torch was given, so that OMP_NUM_THREADS holds here too.
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no common class of their own.
        raise ValueError(f"ONNX Runtime refuses it: {' '.join(str(error).split())[:200]}") from None
    description = Description.parse(session.get_modelmeta().custom_metadata_map.get(KEY, "null"))
    inputs = [(each.name, each.type, each.shape[1:]) for each in session.get_inputs()]
    size = description.image_size
    if inputs != [(INPUT, "tensor(uint8)", [3, size, size])]:
        raise ValueError(f"its input is {inputs!r:.120}")
    outputs = [each.name for each in session.get_outputs()]
    if outputs != description.outputs:
        raise ValueError(f"its outputs are {outputs!r:.120}")

    def call(images: Tensor) -> list[Tensor]:
        found = session.run(outputs, {INPUT: images.numpy()})
        return [torch.from_numpy(values) for values in found]

    return description, call


def _verified(path: Path) -> bytes:
    """Return a file's content, if it is what lmkit wrote."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        content = file.read(LARGEST + 1)
    end = len(content) - len(_TAIL) - 64
    if end <= 0 or content[end : end + len(_TAIL)] != _TAIL:
        raise ValueError("it was not written by lmkit export, or is cut short")
    if content[-64:] != hashlib.sha256(content[:end]).hexdigest().encode():
        raise ValueError("it is not what was written (its SHA-256 differs)")
    return content


def _name_batch(model: Any) -> None:
    """Call the dimension of the batch ``batch``, where the exporter has made up a name."""
    former = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if former and dimension.dim_param == former:
                dimension.dim_param = "batch"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says to its own developers from users."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
