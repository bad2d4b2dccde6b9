"""Finds the images that a list names, also where it names them as another machine does.

Lists travel: between systems that write paths with the other slash, that tell capitals apart or do
not, that store accents composed or decomposed, and between the folders of other people.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmkit.data.sets.lists import missing_error, shown, some
from lmkit.storage import as_name, as_path


class Located(NamedTuple):
    """Where the images of a list are."""

    root: Path
    """The folder they are relative to."""
    files: list[str]
    """Their paths, with forward slashes: as they are on the disk, or as listed if they are not."""
    there: NDArray[np.bool_]
    """For each whether it is there, or names none."""
    notes: tuple[str, ...]
    """What the user should hear about them, a sentence each."""


def locate(
    folders: Sequence[Path], files: Sequence[str], *, listed_by: Path | str, remedy: str
) -> Located:
    """Look for the images that a list names.

    Those that are not there as listed are looked for with backslashes taken for slashes, with names
    that differ in capitals or in how accents are composed, and, where a path begins at the root of
    a file system, without the folders of another machine that it begins with. A name that could so
    mean two images, and two names that could mean one, stand for none.

    Args:
        folders: Where they may be: the first that holds any of them counts.
        files: Their paths; an empty one, of an entry that names none, is not looked for.
        listed_by: The list, for messages.
        remedy: What to do if none is there.

    Raises:
        LmkitError: If none is there.
    """
    root, names = folders[0], list(files)
    named = np.array([file != "" for file in files], dtype=np.bool_)
    there = np.zeros(len(files), dtype=np.bool_)
    for folder in folders:
        there = _exist(folder, files) & named
        if there.any():
            root = folder
            break
    for folder in [root] if there.any() else folders:
        found = _rename(folder, files, np.flatnonzero(named & ~there), there)
        if found:
            root = folder
            for index, name in found.items():
                names[index], there[index] = name, True
            break
    absent = sorted({files[index] for index in np.flatnonzero(named & ~there).tolist()})
    count = len({*files} - {""})
    if not there.any():
        raise missing_error(
            f"{root} holds none of the {count} images that {listed_by} lists, such as "
            f"{shown(absent[0])}"
            if absent
            else f"{listed_by} lists no image",
            remedy,
        )
    notes = []
    other = [(a, b) for a, b in zip(files, names, strict=True) if a != b]
    if other:
        listed, name = other[0]
        notes.append(
            f"{len({b for _, b in other})} of the {count} images that {listed_by} lists are called "
            f"otherwise in {root}, such as {shown(name)}, which it calls {shown(listed)}."
        )
    if absent:
        notes.append(
            f"{len(absent)} of the {count} images that {listed_by} lists are not in {root} and are "
            f"left out: {some(absent)}."
        )
    return Located(root, names, there | ~named, tuple(notes))


def _exist(root: Path, files: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each file whether it is there, by listing each folder once."""
    listed: dict[str, set[str]] = {}

    def is_there(file: str) -> bool:
        folder, _, name = file.rpartition("/")
        if folder not in listed:
            listed[folder] = _names(root, folder)[0]
        names = listed[folder]
        # A file system may know a file by more names than the one it lists.
        return name in names or (len(names) > 0 and _is_file(root, file))

    return np.fromiter(map(is_there, files), dtype=np.bool_, count=len(files))


def _rename(
    root: Path, files: Sequence[str], absent: NDArray[np.int64], there: NDArray[np.bool_]
) -> dict[int, str]:
    """Return what the files that are not there may be called instead, by number."""
    tree, found = _Tree(root), {}
    for index in absent.tolist():
        name = tree.find(files[index])
        if name is not None:
            found[index] = name
    # The same path may be listed several times; two paths that lead to one file are a guess.
    meant = Counter({(files[index], name) for index, name in found.items()})
    claims = Counter(name for _, name in meant)
    taken = {file for file, here in zip(files, there, strict=True) if here}
    return {i: name for i, name in found.items() if claims[name] == 1 and name not in taken}


class _Tree:
    """The files below a folder, each folder listed once and only if it is needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[str, tuple[set[str], set[str]]] = {}
        self._alike: dict[str, dict[str, list[str]]] = {}
        self._foreign: tuple[str, ...] = ()

    def find(self, path: str) -> str | None:
        """Return the path of the one file that is meant, relative to the root; None if none is."""
        rooted = path.startswith(("/", "\\")) or bool(PureWindowsPath(path[:3]).drive)
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        if not rooted:
            return self._walk(parts)
        # What preceded the last one's place precedes most others': tried first, so that each folder
        # of a long path is looked for once and not once a file.
        known = len(self._foreign)
        if tuple(parts[:known]) == self._foreign and (name := self._walk(parts[known:])):
            return name
        for start in range(len(parts)):
            if name := self._walk(parts[start:]):
                self._foreign = tuple(parts[:start])
                return name
        return None

    def _walk(self, parts: Sequence[str]) -> str | None:
        within = ""
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            name = self._entry(within, part, file=last)
            if name is None:
                return None
            within += name if last else f"{name}/"
        return within or None

    def _entry(self, folder: str, name: str, *, file: bool) -> str | None:
        if folder not in self._listed:
            self._listed[folder] = _names(self._root, folder)
        files, folders = self._listed[folder]
        names = files if file else folders
        if name in names:
            return name
        where = f"{folder}{'' if file else '/'}"
        if where not in self._alike:
            alike = self._alike[where] = {}
            for each in names:
                alike.setdefault(_key(each), []).append(each)
        candidates = self._alike[where].get(_key(name), [])
        return candidates[0] if len(candidates) == 1 else None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _names(root: Path, folder: str) -> tuple[set[str], set[str]]:
    """Return the names of a folder's files, and of its folders."""
    files, folders = set(), set()
    try:
        with os.scandir(root / as_path(folder)) as entries:
            for entry in entries:
                if entry.is_file():
                    files.add(as_name(entry.name))
                elif entry.is_dir():
                    folders.add(as_name(entry.name))
    except (OSError, ValueError):
        return set(), set()
    return files, folders


def _is_file(root: Path, file: str) -> bool:
    try:
        return (root / as_path(file)).is_file()
    except (OSError, ValueError):
        # A name that is longer than the file system takes, or that it cannot write at all.
        return False
