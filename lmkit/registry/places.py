"""Where in somebody's own files an exception came from."""

import inspect
import sys
import traceback

# Whose lines say nothing about who is at fault: lmkit's, and those of what everybody calls.
_OF_ALL = {"lmkit", "torch", "torchvision", "numpy", "PIL", "safetensors", *sys.stdlib_module_names}
_OF_ALL |= {"pluggy", "click", "_pytest"}


def place_of(error: BaseException, component: object = None) -> str:
    """Return where code that is not lmkit's failed, as `` (FILE, line N)``.

    Args:
        error: What it raised.
        component: For the place of its class where no line of its own is among those that failed.

    Returns:
        Nothing if it is not known.
    """
    owner, place = "", ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name in _OF_ALL or (owner and name != owner):
            continue
        owner, place = name, f" ({frame.f_code.co_filename}, line {line})"
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        # Its own words give the name of the file alone.
        return f" ({error.filename}, line {error.lineno})"
    return place if place or component is None else place_of_class(component)


def place_of_class(component: object) -> str:
    """Return where a class begins, or that of an instance, as `` (FILE, line N)``."""
    kind = component if isinstance(component, type) else type(component)
    if kind.__module__.partition(".")[0] in _OF_ALL:
        return ""
    try:
        return f" ({inspect.getsourcefile(kind)}, line {inspect.getsourcelines(kind)[1]})"
    except (OSError, TypeError):
        return ""
