"""Reads the MATLAB files that some data sets come with, by scipy."""

from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import open_file


def read_matlab(path: Path, variable: str, *others: str) -> dict[str, Any]:
    """Read variables of a MATLAB file.

    Args:
        path: The file, in the form of MATLAB 7 or older.
        variable: The name of one that it must have.
        others: The names of those that it may have.

    Returns:
        The variables that it has: an array; a struct as a dict, an array of structs as a list of
        dicts. Arrays of one are what they hold: see [items][lmkit.data.sets.matlab.items].

    Raises:
        LmkitError: If scipy is not installed, the file cannot be read, or lacks the variable.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise LmkitError(
            f"Reading {path} takes scipy, which is not installed.",
            remedy="Install it with: pip install 'lmkit[matlab]'",
        ) from error
    try:
        with open_file(path) as file:
            content: dict[str, Any] = loadmat(
                file, variable_names=[variable, *others], simplify_cells=True
            )
    except NotImplementedError as error:
        raise LmkitError(
            f"{path} is in the form of MATLAB 7.3, which is not read.",
            remedy="Save it again in MATLAB with: save(file, '-v7')",
            code=ExitCode.DATA,
        ) from error
    except Exception as error:
        # scipy raises ValueError, TypeError, struct.error, zlib.error and more for damaged files.
        raise LmkitError(
            f"{path} cannot be read as a MATLAB file: {' '.join(str(error).split())}.",
            remedy="Download it again.",
            code=ExitCode.DATA,
        ) from error
    if variable not in content:
        raise LmkitError(
            f"{path} has no variable '{variable}'.",
            remedy="Download it again, or save the annotation under that name.",
            code=ExitCode.DATA,
        )
    return content


def items(value: Any) -> list[Any]:
    """Return the elements of an array of structs or numbers, of which one stands alone.

    Nothing has none.
    """
    if value is None:
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    return list(value.ravel()) if hasattr(value, "ravel") else [value]
