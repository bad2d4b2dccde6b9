"""Files of torch.export (.pt2): written from a graph, and looked over before torch opens them."""

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmkit.export.description import KEY, Description
from lmkit.export.graph import Graph, trace
from lmkit.storage import open_file

LARGEST = 2**33
"""The bytes of the largest file that is read: 8 GiB."""

_EXTRA = f"{KEY}.json"


def pt2_bytes(graph: Graph, description: Description) -> bytes:
    """Return a graph as the content of a .pt2 file.

    Raises:
        Exception: Whatever torch raises where the detector cannot be exported.
    """
    program = trace(graph)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer, extra_files={_EXTRA: description.text()})
    return buffer.getvalue()


def open_pt2(path: Path) -> tuple[Description, Callable[[Tensor], list[Tensor]]]:
    """Read a .pt2 file that lmkit wrote.

    Returns:
        What it says of itself, and what runs it on the CPU: images (B, 3, S, S), uint8, to the
        outputs in order.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, not of lmkit, or holds pickled objects.
    """
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        content = file.read(LARGEST + 1)
    description = _look_over(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.load(io.BytesIO(content)).module()
    except Exception as error:
        # Whatever torch raises for a graph of another version or a damaged one.
        raise ValueError(f"torch refuses it: {' '.join(str(error).split())[:200]}") from None

    def call(images: Tensor) -> list[Tensor]:
        return list(module(images))

    return description, call


def _look_over(content: bytes) -> Description:
    """Return the description of an archive, if nothing in it is damaged or runs code."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError("two of its entries have one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("its entries are compressed, which torch never writes")
            extra = [name for name in names if name.endswith(f"/extra/{_EXTRA}")]
            if len(extra) != 1:
                raise ValueError("it does not hold what lmkit export writes")
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"{bad} in it is damaged")
            for name in names:
                _refuse_pickle(name, archive)
            return Description.parse(archive.read(extra[0]).decode("utf-8"))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is no .pt2 file: {error}") from None


def _refuse_pickle(name: str, archive: zipfile.ZipFile) -> None:
    """Refuse an entry that torch would unpickle without restraint."""
    if name.endswith("_config.json"):
        if _says_pickle(json.loads(archive.read(name))):
            raise ValueError(f"{name} in it names pickled objects")
    elif "/sample_inputs/" in name:
        try:
            torch.load(io.BytesIO(archive.read(name)), weights_only=True)
        except Exception as error:
            raise ValueError(f"{name} in it is refused: {type(error).__name__}") from None
    elif "/data/constants/" in name and not name.rpartition("/")[2].startswith("tensor_"):
        raise ValueError(f"{name} in it is no tensor")


def _says_pickle(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("use_pickle")) or any(map(_says_pickle, value.values()))
    return isinstance(value, list) and any(map(_says_pickle, value))
