"""Images: reading any file as RGB, turned upright, or saying why it cannot be read."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lmkit.data.image_kinds import FIRST_BYTES, OtherKind, formats, kind_of, looks_common
from lmkit.data.tones import eight_bits, is_deep
from lmkit.errors import LmkitError
from lmkit.storage import open_file

LIMIT = "LMKIT_MAX_MEGAPIXELS"
"""The environment variable that says how many million pixels an image may have; by default PIL
decides, which takes 89 million."""
MEMORY = "Each process that reads takes up to 24 bytes for each pixel of an image."
"""What a higher limit costs."""


def load_image(path: Path) -> NDArray[np.uint8]:
    """Read an image of any kind as RGB, turned upright as its EXIF orientation says.

    Of an animation, the first image is read; see [to_rgb][lmkit.data.image_files.to_rgb].

    Args:
        path: The file.

    Returns:
        (H, W, 3), RGB.

    Raises:
        OSError: If the file cannot be read as an image, whatever the reason; the text says it.
    """
    # Opened by us: a file that PIL opens by its name it may map, and some versions map a TIFF that
    # is stored turned with its width and height exchanged.
    with _reasons(path), open_file(path) as file, Image.open(file, formats=formats()) as image:
        image.load()
        # Damaged metadata says nothing about the pixels, which were decoded without complaint.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(to_rgb(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image of any mode as RGB.

    Transparent parts are shown on white. Grey of more than eight bits becomes eight as
    [eight_bits][lmkit.data.tones.eight_bits] says.

    Raises:
        OSError: If the range of its values is not known.
    """
    if is_deep(image):
        return Image.fromarray(eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def quick_problem(path: Path, *, named: bool = True) -> str | None:
    """Say why a file cannot be an image, without decoding it; or None.

    Args:
        path: The file.
        named: Whether its name says that it is one. Then its first bytes suffice.
    """
    try:
        with _reasons(path):
            start = first_bytes(path)
            if not start:
                raise OSError("it is empty")
            # Asking PIL takes ten times as long, which counts with hundreds of thousands.
            if not (named and looks_common(start)):
                with open_file(path) as file:
                    Image.open(file, formats=formats()).close()
            return None
    except OSError as error:
        return str(error)


def first_bytes(path: str | Path) -> bytes:
    """Return a file's first bytes, which tell what it is.

    Raises:
        OSError: If it cannot be read, or is no file.
    """
    with open_file(path) as file:
        return file.read(FIRST_BYTES)


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """Turn all that PIL raises about a bad file into an OSError whose text is the reason."""
    _set_limit()
    try:
        with warnings.catch_warnings():
            # Remarks about odd metadata would appear once for each of thousands of images ...
            warnings.simplefilter("ignore")
            # ... but an image that is suspiciously large is refused before memory runs out.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise OSError(_not_known(path)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise OSError(
            f"it has more than {limit} million pixels; {LIMIT}=N allows N million"
        ) from error
    except MemoryError as error:
        raise OSError("there is not enough memory for its pixels") from error
    except FileNotFoundError as error:
        raise OSError("there is no such file") from error
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error
    except Exception as error:
        # PIL's decoders raise SyntaxError, ValueError, struct.error and more for damaged files.
        raise OSError(f"it is damaged ({type(error).__name__}: {error})") from error


def _not_known(path: Path) -> str:
    """Say what a file is that PIL does not know."""
    with suppress(OSError):
        kind = kind_of(first_bytes(path))
        if isinstance(kind, OtherKind):
            return f"it is of a kind that is left out ({kind.name}. {kind.way.rstrip('.')})"
    return "it is not an image of a known format"


def _set_limit() -> None:
    """Let PIL refuse what has more pixels than the user allows, if he says how many.

    Raises:
        LmkitError: If that is no number.
    """
    # An environment variable reaches the processes that read, however they are started.
    if given := os.environ.get(LIMIT):
        try:
            Image.MAX_IMAGE_PIXELS = round(float(given) * 10**6)
            fits = Image.MAX_IMAGE_PIXELS > 0
        except (ValueError, OverflowError):
            fits = False
        if not fits:
            raise LmkitError(
                f"{LIMIT}={given} is not a number of million pixels.",
                remedy=f"Give a number above 0, or unset it. {MEMORY}",
            )
