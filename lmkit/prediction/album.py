"""Image files by name, however many: what ``lmkit predict`` was given."""

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

from lmkit.data.sets.files import Strings
from lmkit.data.sets.folder import Folder
from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import as_name, as_path


class AlbumFolder(NamedTuple):
    """A folder that images lie in or below."""

    root: str
    """Its absolute path."""
    prefix: str
    """What the names of its images start with."""


class _Entry(NamedTuple):
    place: AlbumFolder
    key: str
    """The image's path within the folder."""
    absolute: bool
    """Whether it goes by its absolute path, because its name is another's."""


class Album(Sequence[tuple[str, Path]]):
    """Image files, each with a name that tells it apart.

    They are kept as text in one block, a few dozen bytes an image, and handed to worker processes
    at once; paths are made as they are asked for.

    Args:
        entries: Where the images lie, in order.
        notes: What the user should hear of what is left out of folders, a sentence or two each;
            complete once the entries have been taken.
    """

    def __init__(self, entries: Iterator[_Entry], notes: Sequence[str] = ()) -> None:
        self.notes = notes
        self._places: list[AlbumFolder] = []
        self._place_of = array("I")
        self._absolute = bytearray()
        self._keys = Strings(self._take(entries))

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> tuple[str, Path]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, Path]]: ...

    def __getitem__(self, index: int | slice) -> tuple[str, Path] | list[tuple[str, Path]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        place = self._places[self._place_of[index]]
        key = self._keys[index % len(self)]
        file = Path(_path(place, key))
        return as_name(file.as_posix()) if self._absolute[index] else place.prefix + key, file

    def _take(self, entries: Iterator[_Entry]) -> Iterator[str]:
        numbers: dict[AlbumFolder, int] = {}
        for place, key, absolute in entries:
            number = numbers.setdefault(place, len(self._places))
            if number == len(self._places):
                self._places.append(place)
            self._place_of.append(number)
            self._absolute.append(absolute)
            yield key


def find_images(paths: Sequence[Path], *, without: Path | None = None) -> Album:
    """Return every image of files and folders once, by a name that tells them apart.

    A file goes by its name, a folder's by their paths within; of several paths, a folder's names
    start with its own. Where that is taken, an image goes by its absolute path.

    Args:
        paths: Files, or folders that are searched with all below them.
        without: A folder whose images are left out where they lie in one that is searched: the
            drawings of an earlier call.

    Raises:
        LmkitError: If a path does not exist, or a folder has no image.
    """
    drawings = None if without is None else os.path.join(without.resolve(), "")  # noqa: PTH118
    notes: list[str] = []
    found = (entry for path in paths for entry in _search(path, len(paths) == 1, drawings, notes))
    # What a single path holds differs already.
    return Album(found if len(paths) == 1 else _told_apart(found), notes)


def _search(path: Path, alone: bool, drawings: str | None, notes: list[str]) -> Iterator[_Entry]:
    """Yield the images of a file or folder, by names that may still clash."""
    real = path.resolve()
    if path.is_dir():
        folder = Folder(path=path)
        notes += (note for note in folder.notes if note not in notes)
        # The real name, since "." and ".." have none of their own.
        place = AlbumFolder(str(real), "" if alone else f"{as_name(real.name)}/")
        for index in range(len(folder)):
            key = folder.key(index)
            if drawings is None or not _path(place, key).startswith(drawings):
                yield _Entry(place, key, False)
    elif path.exists():
        yield _Entry(AlbumFolder(str(path.parent.resolve()), ""), as_name(path.name), False)
    else:
        raise LmkitError(
            f"{path} does not exist.",
            remedy="Give image files, folders of them, or a kind of data: faces, csv:FILE ...",
            code=ExitCode.DATA,
        )


def _told_apart(entries: Iterator[_Entry]) -> Iterator[_Entry]:
    """Leave out files that came before, and name by their absolute paths those whose name did."""
    files: set[str] = set()
    names: set[str] = set()
    for place, key, _ in entries:
        file, name = _path(place, key), place.prefix + key
        if file in files:
            continue
        files.add(file)
        yield _Entry(place, key, name in names)
        names.add(name)


def _path(place: AlbumFolder, key: str) -> str:
    return os.path.join(place.root, as_path(key))  # noqa: PTH118
