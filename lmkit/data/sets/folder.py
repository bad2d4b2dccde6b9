"""A folder of plain images, with no annotation."""

from pathlib import Path
from typing import Literal

from lmkit.data.image_files import SUFFIXES
from lmkit.data.sets.files import Files, find_files, need_folder
from lmkit.data.sets.lists import missing


class Folder(Files):
    """Every image below a folder, sorted by path; hidden files and folders are left out.

    Args:
        path: The folder.
        subjects: Who is on the images: not known (none), or each subfolder is a subject (folder);
            then an image outside of them has none.

    Raises:
        LmkitError: If the folder is missing or holds no image.
    """

    def __init__(self, *, path: Path, subjects: Literal["none", "folder"] = "none") -> None:
        need_folder(
            path,
            "folder of images",
            "Give --data the path of a folder of images; lmkit list dataset shows what else it "
            "takes.",
        )
        files = sorted(find_files(path, SUFFIXES))
        if not files:
            raise missing(
                f"The folder {path} holds no image, in itself or below",
                f"Put images in it; their names end in {', '.join(sorted(SUFFIXES))}.",
            )
        by_folder = (file.rpartition("/")[0] for file in files)
        super().__init__(path, files, subjects=by_folder if subjects == "folder" else None)
