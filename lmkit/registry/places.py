"""Where in somebody's own files an exception came from."""

import inspect
import linecache
import re
import sys
import traceback

# Whose lines say nothing about who is at fault: lmkit's, and those of what everybody calls.
_OF_ALL = {"lmkit", "torch", "torchvision", "numpy", "PIL", "safetensors", *sys.stdlib_module_names}
_OF_ALL |= {"pluggy", "click", "_pytest"}
# The methods that components are there for.
_WORK = ("forward", "score_maps", "redraw", "__call__", "warps", "routes", "image")


def place_of(error: BaseException, component: object = None) -> str:
    """Return where code that is not lmkit's failed, as `` (FILE, line N)``.

    Args:
        error: What it raised.
        component: For the place of its method where no line of its own is among those that failed.

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
    return place if place or component is None else place_of_class(component, str(error))


def place_of_class(component: object, words: str = "") -> str:
    """Return where a class does what it is there for, as `` (FILE, line N)``.

    Args:
        component: The class, or an instance.
        words: What is said of it; where they name one of its methods, that is meant.
    """
    kind = component if isinstance(component, type) else type(component)
    if kind.__module__.partition(".")[0] in _OF_ALL:
        return ""
    for name in (*re.findall(r"(\w+)\(\)", words), *_WORK):
        code = getattr(vars(kind).get(name), "__code__", None)
        if code is not None:
            return f" ({code.co_filename}, line {code.co_firstlineno})"
    try:
        return f" ({inspect.getsourcefile(kind)}, line {inspect.getsourcelines(kind)[1]})"
    except (OSError, TypeError):
        return ""


def place_in_module(module: object, words: str) -> str:
    """Return where a plugin's module announces what an error speaks of, as `` (FILE, line N)``.

    Args:
        module: The module; its name does, if it has been imported.
        words: What is said of it, which names a hook or a variable.
    """
    if isinstance(module, str):
        module = sys.modules.get(module)
    for name, value in getattr(module, "__dict__", {}).items():
        code = getattr(value, "__code__", None)
        if name.startswith("lmkit_") and name in words and code is not None:
            return f" ({code.co_filename}, line {code.co_firstlineno})"
    file = getattr(module, "__file__", None)
    if file and "LMKIT_API" in words:
        for number, line in enumerate(linecache.getlines(file), 1):
            if line.startswith("LMKIT_API"):
                return f" ({file}, line {number})"
    return ""
