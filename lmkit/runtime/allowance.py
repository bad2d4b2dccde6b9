"""Building networks whose sizes somebody else wrote down, within what their weights account for.

A run from elsewhere says how large its networks are. What it says is compared with the weights
that came with it before memory is taken: the networks are built on torch's device ``meta`` first,
where tensors have shapes and no memory. Constructors are watched as they build, since some cannot
be called there.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.tensor_files import State, state_of

_SPARE_BYTES = 2 * 2**30
"""What a constructor may take beside the weights: tables, and networks that are not saved."""
_TIMES = 8
"""And what it may take for each byte of the weights: trimmed and discarded parts of networks."""
_SPARE_CALLS = 100_000
_CALLS = 1000
"""The operations that a constructor may carry out, in all and for each tensor of the weights."""


@contextmanager
def within(bytes_: int, tensors: int, where: str) -> Iterator[None]:
    """Refuse what is built here as soon as it asks for far more than its weights account for.

    Args:
        bytes_: The bytes of the weights.
        tensors: Their number.
        where: The run, for the message.

    Raises:
        LmkitError: Before that memory is taken.
    """
    with _Watch(_SPARE_BYTES + _TIMES * bytes_, _SPARE_CALLS + _CALLS * tensors, where):
        yield


def state_without_memory(build: Callable[[], nn.Module], tensors: int, where: str) -> State | None:
    """Return the types and shapes of a network's state without taking memory for it.

    Args:
        build: Builds the network.
        tensors: How many tensors it should have, about.
        where: The run, for the message.

    Returns:
        None if the network cannot be built without memory.

    Raises:
        LmkitError: If it does far more than that number of tensors accounts for.
    """
    watch = _Watch(None, _SPARE_CALLS + _CALLS * tensors, where)
    try:
        with warnings.catch_warnings(), torch.device("meta"), watch:
            # Copying values into what has no memory does nothing, which torch warns about.
            warnings.simplefilter("ignore")
            return state_of(build())
    except Exception:
        # It computes with values, say; or its options are wrong, which building it will tell.
        if watch.refused:
            raise
        return None


class _Watch(TorchDispatchMode):
    """Counts the operations, and the bytes of the tensors that they make.

    Args:
        most_bytes: Those that may be asked for in all; any number if None.
        most_calls: The operations.
        where: The run, for the message.
    """

    def __init__(self, most_bytes: int | None, most_calls: int, where: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most_bytes, self._most_calls, self._where = most_bytes, most_calls, where
        self._bytes = self._calls = 0
        self.refused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._calls += 1
        if self._calls > self._most_calls:
            self._refuse(f"more than {self._most_calls:,} operations")
        # What changes tensors, or looks at them in another way, takes no memory.
        if self._most_bytes is not None and not _returns_its_arguments(func):
            self._bytes += _bytes_of(func, args, kwargs)
            if self._bytes > self._most_bytes:
                self._refuse(f"more than {self._most_bytes / 2**30:.0f} GiB of memory")
        return func(*args, **kwargs)

    def _refuse(self, what: str) -> None:
        self.refused = True
        raise LmkitError(
            f"{self._where} describes networks that are far larger than its weights: building "
            f"them takes {what}.",
            remedy="run.json or the weights are of another run; restore them.",
            code=ExitCode.RUN,
        )


def _returns_its_arguments(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(each.alias_info is not None for each in returns)


def _bytes_of(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    """Return the bytes of what an operation would make, found out without making it."""
    device = "device" in {each.name for each in func._schema.arguments}
    try:
        args, kwargs = tree_map(_without_memory, (args, dict(kwargs)))
        if device:
            kwargs |= {"device": torch.device("meta"), "pin_memory": False}
        made = func(*args, **kwargs)
    except (RuntimeError, OverflowError, MemoryError) as error:
        # Sizes whose product has more than 64 bits. Anything else will fail again, or depends on
        # values and is small: what is read out number by number.
        return 2**63 if "overflow" in str(error).lower() else 0
    except Exception:
        return 0
    leaves = [each for each in tree_leaves(made) if isinstance(each, Tensor)]
    return sum(each.numel() * each.element_size() for each in leaves)


def _without_memory(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value
