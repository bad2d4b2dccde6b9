"""Looks through folders: the files of certain names, or the images whatever they are called."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lmkit.data.image_files import first_bytes, quick_problem
from lmkit.data.image_kinds import (
    OtherKind,
    image_suffixes,
    kind_of,
    may_be_image,
    other_kind,
)
from lmkit.data.sets.lists import some
from lmkit.errors import ExitCode, LmkitError
from lmkit.storage import as_name

_NO_FILES = OtherKind(
    "Names of images that are no files (pipes, sockets, devices, links that lead nowhere)",
    "Replace or remove them.",
)
_LINKS = OtherKind("Links to files that are listed already", "Each image is taken once.")


@dataclass(frozen=True, slots=True)
class Listing:
    """The images below a folder, and what is left out.

    Args:
        images: Sorted; relative to the folder, with forward slashes.
        others: By kind, the files that are of images or videos and are not taken, sorted.
    """

    images: list[str]
    others: Mapping[OtherKind, list[str]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return what the user should hear of what is left out, a sentence or two each."""
        return [
            f"{kind.name} left out: {len(files):,}, {some(files)}. {kind.way}"
            for kind, files in self.others.items()
        ]


def list_images(root: Path) -> Listing:
    """Find every image below a folder that is read here, once, whatever it is called.

    Files whose names say nothing are opened to look at their first bytes. Hidden files and folders
    are passed over.

    Args:
        root: The folder.

    Raises:
        LmkitError: If a folder cannot be listed.
    """
    readable = image_suffixes()
    images: list[str] = []
    links: dict[str, str] = {}
    others: dict[OtherKind, list[str]] = {}
    for name, entry in _walk(root):
        suffix = suffix_of(entry.name)
        kind = True if suffix in readable else other_kind(suffix)
        if kind is None and may_be_image(suffix) and _is_file(entry):
            kind = _look(entry.path)
        if not kind:
            continue
        if not _is_file(entry):
            kind = _NO_FILES
        if isinstance(kind, OtherKind):
            others.setdefault(kind, []).append(name)
        elif entry.is_symlink():
            links[name] = entry.path
        else:
            images.append(name)
    if links:
        kept, again = _once(root, images, links)
        images += kept
        others |= {_LINKS: again} if again else {}
    return Listing(sorted(images), {kind: sorted(files) for kind, files in others.items()})


def find_files(root: Path, suffixes: Iterable[str]) -> Iterator[str]:
    """Yield the files below a folder that are not hidden: relative to it, with forward slashes.

    Args:
        root: The folder.
        suffixes: What the names of the files end in, in lower case.

    Raises:
        LmkitError: If a folder cannot be listed.
    """
    wanted = frozenset(suffixes)
    return (
        name for name, entry in _walk(root) if suffix_of(entry.name) in wanted and _is_file(entry)
    )


def suffix_of(name: str) -> str:
    """Return what a file's name ends in, in lower case, from its last full stop on."""
    at = name.rfind(".")
    return name[at:].lower() if at > 0 else ""


def _walk(root: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yield all that is no folder and not hidden, by its path from the root."""
    entered: set[str] = set()
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        # Linked folders are followed, since large collections are often kept elsewhere; each
        # folder is entered once, so that a link to a folder above does not go round in circles.
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        below = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = prefix + as_name(entry.name)
                    if _is_folder(entry):
                        below.append((entry.path, f"{name}/"))
                    else:
                        yield name, entry
        except OSError as error:
            _refuse(folder, error)
        # The one that comes first in the alphabet is taken from the end.
        waiting += sorted(below, key=lambda each: each[1], reverse=True)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in circles
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _look(path: str) -> OtherKind | bool:
    """Return what a file is by its content."""
    try:
        kind = kind_of(first_bytes(path))
    except OSError:
        return False
    # The first bytes of a text may be those of an image.
    return kind if kind is not True else quick_problem(Path(path), named=False) is None


def _once(root: Path, images: list[str], links: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Divide links to images into those to take, and those whose files are taken already."""
    places: dict[tuple[int, int], str] = {}
    found = dict(sorted(links.items()))
    targets = {name: _identity(path) for name, path in found.items()}
    linked = set(targets.values())
    for name in images:
        identity = _identity(os.path.join(root, name))  # noqa: PTH118
        if identity in linked:
            places[identity] = name
    kept: list[str] = []
    again: list[str] = []
    for name, identity in targets.items():
        (again if identity in places else kept).append(name)
        places.setdefault(identity, name)
    return kept, again


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, hash(path))
    return (status.st_dev, status.st_ino)


def _refuse(folder: str, error: OSError) -> NoReturn:
    raise LmkitError(
        f"The folder {as_name(folder)} cannot be listed: {error.strerror or error}.",
        remedy="Make it readable, or move it out of the folder of images.",
        code=ExitCode.DATA,
    ) from error
