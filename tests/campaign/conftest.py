"""Operations on files that fail: the n-th one in a folder, with an error that systems give."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

import lmkit.run.checkpoint


class _Written:
    """A file that is open for writing; each of its writes is an operation that may fail."""

    def __init__(self, file: Any, operate: Callable[[str], None]) -> None:
        self._file, self._operate = file, operate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def write(self, content: Any) -> Any:
        self._operate("write")
        return self._file.write(content)


class Faults:
    """Counts the operations on files in a folder, and lets one of them fail.

    Args:
        folder: What lies elsewhere is left alone.
        number: Which operation fails, from 1; 0 for none.
        error: With which ``errno``.
    """

    def __init__(self, folder: Path, number: int = 0, error: int = errno.EIO) -> None:
        self.folder, self.number, self.error = folder.resolve(), number, error
        self.done: list[str] = []

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Put itself between the program and the system."""
        self._watch_opening(patch)
        for name in ("mkdir", "unlink", "remove", "rmdir", "replace", "rename", "fsync"):
            patch.setattr(os, name, self._instead_of(getattr(os, name), name))
        save = lmkit.run.checkpoint.save_file

        def save_file(tensors: Any, filename: Any, *rest: Any, **options: Any) -> None:
            try:
                self._operate("save_file", filename)
            except OSError as raised:
                # What the library says of it, which is written in Rust.
                raise SafetensorError(f"I/O error: {raised.strerror}") from None
            save(tensors, filename, *rest, **options)

        patch.setattr(lmkit.run.checkpoint, "save_file", save_file)

    def _watch_opening(self, patch: pytest.MonkeyPatch) -> None:
        opened = io.open

        def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if isinstance(file, int) or not self._is_here(file):
                return opened(file, mode, *rest, **options)
            self._operate(f"open for {mode}", file)
            found = opened(file, mode, *rest, **options)
            if set(mode) & set("wax+"):
                return _Written(found, lambda name: self._operate(name, file))
            return found

        patch.setattr(io, "open", open_)
        patch.setattr(builtins, "open", open_)
        patch.setattr(os, "open", self._instead_of(os.open, "os.open"))

    def _instead_of(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def operation(place: Any, *rest: Any, **options: Any) -> Any:
            if self._is_here(place):
                self._operate(name, place)
            return original(place, *rest, **options)

        return operation

    def _is_here(self, place: Any) -> bool:
        try:
            if isinstance(place, int):
                place = Path(f"/proc/self/fd/{place}").readlink()
            # Not resolved, which may open the file.
            return Path(os.path.abspath(os.fsdecode(place))).is_relative_to(self.folder)  # noqa: PTH100
        except (OSError, TypeError):
            return False

    def _operate(self, name: str, place: Any = "") -> None:
        self.done.append(f"{name} {place}")
        if len(self.done) == self.number:
            raise OSError(self.error, os.strerror(self.error), str(place))


@pytest.fixture
def faults() -> type[Faults]:
    """Return the class: ``faults(folder, number, error).watch(patch)``."""
    return Faults
