"""Where a run keeps its weights: the layout of checkpoints, for all who read or write them."""

import hashlib
import json
import re
from pathlib import Path

_NAME = re.compile(r"step-(\d+)")

FOLDER = "checkpoints"
"""The folder, inside of a run's, that holds its checkpoints."""


def list_steps(folder: Path) -> dict[int, Path]:
    """Return the complete checkpoints in a folder by step, oldest first.

    Args:
        folder: What holds them; they are none if it does not exist.
    """
    found = {}
    if folder.is_dir():
        for path in folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def sha256(file: Path) -> str:
    """Return a file's SHA-256, as checkpoints record it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sound_file(checkpoint: Path, name: str) -> Path | None:
    """Return a network's file of tensors; none if it is not there or is not what was written.

    Args:
        checkpoint: The folder ``step-N``.
        name: The network's: ``detector``.
    """
    file = checkpoint / f"{name}.safetensors"
    try:
        recorded = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["files"]
        return file if recorded[file.name]["sha256"] == sha256(file) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
