"""Whether a checkpoint's weights are those of the networks that ``run.json`` describes.

Found out before a network is built: a run may come from elsewhere, and what it says of itself is
compared with what came with it before memory is taken.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from torch import nn

from lmkit.interfaces.checkpoint_files import (
    does_not_fit,
    read_state,
    refuse_absent,
    tensor_file,
    unusable,
    verified_file,
)
from lmkit.interfaces.tensor_files import Form, read_forms
from lmkit.registry.lookup import Registry
from lmkit.runtime.allowance import state_without_memory, within
from lmkit.runtime.assemble import Assembly, assemble
from lmkit.runtime.assemble import build as build_component
from lmkit.settings.settings import Settings

Network = TypeVar("Network", bound=nn.Module)


def check_sizes(checkpoint: Path, name: str, build: Callable[[], nn.Module]) -> bool:
    """Refuse weights that are not of a network, without building it.

    Args:
        checkpoint: The folder ``step-N``.
        name: Whose weights: ``detector``, ``generator``.
        build: Builds the network.

    Returns:
        Whether it could be told: some networks cannot be built without taking memory for them.

    Raises:
        LmkitError: If they are not, or the file is damaged.
    """
    file = verified_file(checkpoint, read_state(checkpoint), name)
    found = _forms(checkpoint, file)
    wanted = state_without_memory(build, len(found), _run_of(checkpoint))
    if wanted is not None and (other := wanted.objection(found)):
        raise does_not_fit(file, other)
    return wanted is not None


def build_to_fit(checkpoint: Path, name: str, build: Callable[[], Network]) -> Network:
    """Build a network whose weights are to be loaded, if a checkpoint's are of it.

    Args:
        checkpoint: The folder ``step-N``.
        name: Whose weights: ``detector``, ``generator``.
        build: Builds the network.

    Raises:
        LmkitError: If they are not, the file is damaged, or the network cannot be built.
    """
    check_sizes(checkpoint, name, build)
    with allowance(checkpoint, (name,)):
        return build()


def assemble_to_fit(checkpoint: Path, settings: Settings, registry: Registry) -> Assembly:
    """Build the components that are to go on from a checkpoint, if its weights are of them.

    Args:
        checkpoint: The folder ``step-N``.
        settings: The run's.
        registry: Where components are looked up.

    Raises:
        LmkitError: If they are not, a file is damaged, or a component cannot be built.
    """
    state = read_state(checkpoint)
    refuse_absent(checkpoint, state)
    names = ["detector"] if settings.generator["name"] == "none" else ["detector", "generator"]
    for name in names:
        if tensor_file(checkpoint, name).name in state["files"]:
            build = partial(build_component, name, getattr(settings, name), settings, registry)
            check_sizes(checkpoint, name, build)
    with allowance(checkpoint, (*names, "losses")):
        return assemble(settings, registry)


@contextmanager
def allowance(checkpoint: Path, names: Sequence[str]) -> Iterator[None]:
    """Refuse networks, while they are built, that are far larger than their weights.

    Args:
        checkpoint: The folder ``step-N``.
        names: Whose weights account for what is built; those that are not there count nothing.
    """
    files = [file for name in names if (file := tensor_file(checkpoint, name)).is_file()]
    tensors = sum(len(_forms(checkpoint, file)) for file in files)
    size = sum(file.stat().st_size for file in files)
    with within(size, tensors, _run_of(checkpoint)):
        yield


def _forms(checkpoint: Path, file: Path) -> dict[str, Form]:
    try:
        return read_forms(file)
    except (OSError, ValueError) as error:
        raise unusable(checkpoint, file, error) from None


def _run_of(checkpoint: Path) -> str:
    return str(checkpoint.parent.parent / "run.json")
