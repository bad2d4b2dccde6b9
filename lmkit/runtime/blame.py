"""Which component of a run failed, where in its own files, and what was expected of it."""

import contextlib
import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any

import torch

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.discovery import describe
from lmkit.registry.places import place_of

_NO_MEMORY = ("MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory")
_RAISE = dis.opmap["RAISE_VARARGS"]


@contextlib.contextmanager
def blame(part: str, component: object = None) -> Iterator[None]:
    """Say which component an exception came from, and where in its files.

    That holds for one that would end the process as well, but not for Ctrl-C.

    Args:
        part: What to call the component, from ``Assembly.names``.
        component: The component, for the place of its class where no line of its own failed.

    Raises:
        LmkitError: If the body raises anything else.
    """
    try:
        yield
    except LmkitError:
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise LmkitError(
                f"The device ran out of memory in the {part}.",
                remedy="Give a smaller --batch-size, or smaller networks.",
            ) from error
        if not is_failure(error):
            raise
        raise LmkitError(
            f"The {part} failed: {describe(error).rstrip('.')}{place_of(error, component)}.",
            remedy=advice(error)
            or "Report it to its author; LMKIT_TRACEBACK=1 shows where it failed.",
            code=ExitCode.PLUGIN,
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a device is used up.

    Torch has a type for that on CUDA alone.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)


def is_failure(error: BaseException) -> bool:
    """Return whether an exception is the failure of code, and not somebody's wish to stop.

    ``sys.exit`` and an interrupt that code raises itself are failures of a component, which has no
    right to end a run. Ctrl-C raises in the midst of any instruction.
    """
    if isinstance(error, GeneratorExit):
        return False
    if not isinstance(error, KeyboardInterrupt):
        return True
    frames = [(frame, last) for frame, last in _frames(error)]
    if not frames:
        return False
    code, last = frames[-1][0], frames[-1][1]
    return code.co_code[last] == _RAISE


def advice(error: BaseException) -> str:
    """Return what to do about mistakes whose own words do not say it; nothing for others."""
    words = str(error)
    if "before Module.__init__() call" in words or "before super().__init__()" in words:
        return "Call super().__init__(...) first in the constructor."
    if isinstance(error, TypeError) and "abstract" in words:
        return "Write every method that its interface in lmkit.api leaves open."
    if isinstance(error, SystemExit):
        return "Raise lmkit.api.LmkitError instead of calling sys.exit()."
    return ""


def expect(value: Any, kind: type, name: str, method: str = "") -> None:
    """Insist on the type of what a component returned.

    Args:
        value: What it returned.
        kind: What it must be.
        name: What to call that: ``lmkit.api.Landmarks``.
        method: Which of its methods returned it, if there are several.

    Raises:
        TypeError: If it is of another type.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{method and f'{method}() '}returned {in_words(value)} instead of {name}")


def in_words(value: Any) -> str:
    """Return what a value is: ``None``, ``a Tensor of shape (2, 3)``, ``a list of 4``."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    kind = {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    if isinstance(value, (str, bytes)):
        return f"the {'text' if isinstance(value, str) else 'bytes'} {value[:40]!r}"
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{article} {kind} of shape {tuple(shape)}"
    size = f" of {len(value)}" if isinstance(value, (list, tuple, dict, set)) else ""
    return f"{article} {kind}{size}"


def _frames(error: BaseException) -> Iterator[tuple[CodeType, int]]:
    each = error.__traceback__
    while each is not None:
        yield each.tb_frame.f_code, each.tb_lasti
        each = each.tb_next
