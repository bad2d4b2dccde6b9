"""A folder of plain images, with no annotation."""

from pathlib import Path
from typing import Literal

from lmkit.data.sets.files import Files, need_folder
from lmkit.data.sets.listing import list_images
from lmkit.data.sets.lists import missing_error
from lmkit.registry.lookup import installed


class Folder(Files):
    """Every image below a folder, sorted by path; hidden files and folders are left out.

    What lmkit can read is taken, whatever its name ends in. A note names the images and videos that
    are left out, and what would have them read.

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
        listing = list_images(path)
        if not listing.images:
            raise missing_error(
                f"The folder {path} holds no image that can be read, in itself or below",
                " ".join(listing.notes())
                or "Put images in it, such as .jpg, .png, .tif or .webp files.",
            )
        notes = listing.notes()
        if str(path) in {entry.component.name for entry in installed().components("dataset")}:
            notes.append(
                f"{path} is taken for the folder of that name, which exists, and not for the kind "
                "of data. For that, call this from another folder."
            )
        self.notes = tuple(notes)
        by_folder = (file.rpartition("/")[0] for file in listing.images)
        super().__init__(path, listing.images, subjects=by_folder if subjects == "folder" else None)
