"""A folder of plain pictures, with no annotation."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from lmkit.data.pictures import SUFFIXES, load_image, quick_problem
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Annotation, Dataset


class Folder(Dataset):
    """Every picture below a folder, sorted by path; hidden files and folders are left out.

    Args:
        path: The folder.
        subjects: Who is on the pictures: not known (none), or each subfolder is a subject (folder).

    Raises:
        LmkitError: If the folder is missing or holds no picture.
    """

    def __init__(self, *, path: Path, subjects: Literal["none", "folder"] = "none") -> None:
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "does not exist"
            raise LmkitError(
                f"The folder of pictures {path} {what}.",
                remedy="Give --data the path of a folder of pictures; lmkit list dataset shows "
                "what else it takes.",
                code=ExitCode.DATA,
            )
        self._root = path
        self._by_folder = subjects == "folder"
        self._keys = sorted(_pictures(path))
        if not self._keys:
            raise LmkitError(
                f"The folder {path} holds no picture, in itself or below.",
                remedy=f"Put pictures in it; their names end in {', '.join(sorted(SUFFIXES))}.",
                code=ExitCode.DATA,
            )

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """Return the path within the folder, with forward slashes."""
        return self._keys[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """See [Dataset][lmkit.api.Dataset]."""
        return load_image(self._root / self._keys[index])

    def annotation(self, index: int) -> Annotation:
        """Return the subject, if each subfolder is one; a picture outside of them has none."""
        subfolder = self._keys[index].rpartition("/")[0] if self._by_folder else ""
        return Annotation(subject=subfolder or None)

    def problem(self, index: int) -> str | None:
        """See [Dataset][lmkit.api.Dataset]."""
        return quick_problem(self._root / self._keys[index])


def _pictures(root: Path) -> Iterator[str]:
    """Yield the paths of the pictures below ``root``, relative to it, with forward slashes."""
    entered = set()
    # Linked folders are followed, since large collections are often kept elsewhere; each folder is
    # entered once, so that a link to a folder above does not go round in circles.
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path.relative_to(root).as_posix()


def _refuse(error: OSError) -> NoReturn:
    raise LmkitError(
        f"The folder {error.filename} cannot be listed: {error.strerror}.",
        remedy="Make it readable, or move it out of the folder of pictures.",
        code=ExitCode.DATA,
    ) from error
