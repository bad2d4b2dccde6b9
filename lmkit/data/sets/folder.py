"""A folder of plain images, with no annotation."""

from pathlib import Path
from typing import Literal

from lmkit.data.image_files import OTHER_SUFFIXES, image_suffixes
from lmkit.data.sets.files import Files, find_files, need_folder, suffix_of
from lmkit.data.sets.lists import missing_error, some
from lmkit.registry.lookup import installed


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
        readable = image_suffixes()
        found = sorted(find_files(path, readable | OTHER_SUFFIXES))
        files = [file for file in found if suffix_of(file) in readable]
        others = [file for file in found if suffix_of(file) not in readable]
        if not files:
            raise missing_error(
                f"The folder {path} holds no image that can be read, in itself or below"
                + (f"; {some(others)} cannot" if others else ""),
                "Put images in it, such as .jpg, .png, .tif or .webp files."
                + (" Convert what it holds to one of these." if others else ""),
            )
        notes = []
        if str(path) in {entry.component.name for entry in installed().components("dataset")}:
            notes.append(
                f"{path} is taken for the folder of that name, which exists, and not for the kind "
                "of data. For that, call this from another folder."
            )
        if others:
            notes.append(
                f"Images of kinds that cannot be read here are left out: {len(others)}, "
                f"{some(others)}. Convert them to .jpg or .png."
            )
        self.notes = notes
        by_folder = (file.rpartition("/")[0] for file in files)
        super().__init__(path, files, subjects=by_folder if subjects == "folder" else None)
