"""Plugins that are named where they are used, and need not be installed: a file, or a module.

What a file holds is executed as it was read, and known by its SHA-256. A run that was made with it
keeps that, and where the file lies; which of them this user has named before is remembered, so that
a run can be gone on with and nothing is executed because a run folder from elsewhere asks for it.
"""

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import cache_place

VARIABLE = "LMKIT_PLUGINS"
"""The environment variable that names them, separated as in ``PATH``."""

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class LocalPlugin:
    """What a word after ``--plugin`` names.

    Args:
        given: The word, that of a file as an absolute path.
        file: The file; none if it is a module.
    """

    given: str
    file: Path | None

    @property
    def name(self) -> str:
        """What the plugin is called: as its file without the suffix, or as its module."""
        return self.given if self.file is None else self.file.stem

    @property
    def package(self) -> str:
        """What takes the place of a package in messages."""
        return self.given if self.file is None else self.file.name

    def load(self) -> tuple[ModuleType, str]:
        """Execute the file, or import the module.

        Returns:
            The module, and the SHA-256 of its file; empty if it has none.

        Raises:
            LmkitError: If there is no such file, or its name is another module's.
            Exception: Whatever it raises itself.
        """
        if self.file is None:
            module = _import(self.given)
            return module, digest(Path(getattr(module, "__file__", None) or ""))
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise LmkitError(
                f"--plugin {self.given} cannot be read: {error.strerror or error}.",
                remedy="Give the path of a Python file, or the name of a module.",
                code=ExitCode.PLUGIN,
            ) from None
        _refuse_taken(self.file)
        # At the end: worker processes find it by its name, and it finds the files beside it.
        if str(self.file.parent) not in sys.path:
            sys.path.append(str(self.file.parent))
        return _execute(self.file, content), hashlib.sha256(content).hexdigest()


def read(word: str | Path) -> LocalPlugin:
    """Tell a file from a module.

    Args:
        word: What stands after ``--plugin``.

    Raises:
        LmkitError: If it is neither.
    """
    text = str(word)
    path = Path(text).expanduser()
    if isinstance(word, Path) or path.suffix == ".py" or os.sep in text or path.is_file():
        if path.suffix == ".py" and path.stem.isidentifier():
            return LocalPlugin(str(path.absolute()), path.absolute())
        raise LmkitError(
            f"--plugin {text} has not the name of a Python file that can be imported.",
            remedy="Call it by a word with .py after it, such as my_loss.py.",
        )
    if not _MODULE.fullmatch(text):
        raise LmkitError(
            f"--plugin {text} is neither a Python file nor the name of a module.",
            remedy="Write --plugin my_loss.py, or --plugin my_package.loss.",
        )
    return LocalPlugin(text, None)


def named(environment: Mapping[str, str]) -> list[str]:
    """Return the words that the environment variable holds."""
    return [word for word in environment.get(VARIABLE, "").split(os.pathsep) if word]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    with suppress(OSError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def remember(sha256: str) -> None:
    """Note that the user has named a file of this content, so that runs find it again."""
    # Where nothing can be written, it is to be named each time.
    with suppress(OSError):
        folder = cache_place() / "plugins"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sha256).touch()


def is_remembered(sha256: str) -> bool:
    """Return whether the user has named a file of this content before."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        return False
    try:
        owner = (cache_place() / "plugins" / sha256).stat().st_uid
    except OSError:
        return False
    # Not what somebody else has put into a folder that all may write to.
    return not hasattr(os, "getuid") or owner == os.getuid()


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        # As with python -m, for which the working directory counts.
        sys.path.append(here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise LmkitError(
            f"--plugin {name}: there is no module '{error.name}'.",
            remedy="Give the path of a Python file, or call this from the folder it is in.",
            code=ExitCode.PLUGIN,
        ) from None


def _refuse_taken(file: Path) -> None:
    """Refuse a file that another module would be taken for, here or in a worker process."""
    name = file.stem
    module = sys.modules.get(name)
    other = getattr(module, "__file__", None) or ("" if module is None else "built in")
    if module is None:
        spec = find_spec(name)
        other = "" if spec is None else (spec.origin or "a folder")
    if other and not _same(Path(other), file):
        raise LmkitError(
            f"--plugin {file}: the name '{name}' is that of another module ({other}).",
            remedy=f"Rename the file, for example to my_{name}.py.",
            code=ExitCode.PLUGIN,
        )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _execute(file: Path, content: bytes) -> ModuleType:
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    module = module_from_spec(spec)
    former = sys.modules.get(file.stem)
    sys.modules[file.stem] = module
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[file.stem]
        if former is not None:
            sys.modules[file.stem] = former
        raise
    return module
