"""Images: reading any file as RGB, and framing any size into the square the networks see.

A [Framing][lmkit.data.framing.Framing] remembers how an image was framed, so that points travel
between pixels of the original and normalised points of the square exactly, in both directions.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

_FROM_PHONES = (".heic", ".heif", ".hif", ".jxl", ".avif", ".jp2", ".webp")
_FROM_CAMERAS = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
OTHER_SUFFIXES = frozenset((*_FROM_PHONES, *_FROM_CAMERAS))
"""What the names of images end in that PIL may not read here: they are named, not passed over."""

_FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
_PROGRAMS = frozenset(("EPS",))  # Drawings that are programs, which PIL has Ghostscript run.


def image_suffixes() -> frozenset[str]:
    """Return what the names of image files end in, in lower case: what PIL reads here.

    Those are the formats that it says are images (``image/...``), opens, and has the codec for.
    Videos, documents and tables of measurements, which it knows by name too, are none of them.
    """
    return frozenset(
        suffix
        for suffix, form in Image.registered_extensions().items()
        if Image.MIME.get(form, "").startswith("image/")
        # MPO, which cameras write, is opened as the JPEG that it begins with.
        and (form in Image.OPEN or form == "MPO")
        and (form not in _CODECS or features.check(_CODECS[form]))
    )


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
    with _reasons(), path.open("rb") as file, Image.open(file, formats=_formats()) as image:
        image.load()
        # Damaged metadata says nothing about the pixels, which were decoded without complaint.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(to_rgb(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image of any mode as RGB.

    Transparent parts are shown on white. Grey of 16 bits is divided by 257; floating point is taken
    as [0, 1], or as [0, 255] where it goes beyond 1.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def quick_problem(path: Path) -> str | None:
    """Say why a file cannot be an image, from its first bytes and without decoding it; or None."""
    try:
        with _reasons():
            with path.open("rb") as file:
                start = file.read(4)
            if not start:
                raise OSError("it is empty")
            # Asking PIL takes ten times as long, which counts with hundreds of thousands.
            if not start.startswith(_FIRST_BYTES):
                Image.open(path, formats=_formats()).close()
            return None
    except OSError as error:
        return str(error)


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn all that PIL raises about a bad file into an OSError whose text is the reason."""
    try:
        with warnings.catch_warnings():
            # Remarks about odd metadata would appear once for each of thousands of images ...
            warnings.simplefilter("ignore")
            # ... but an image that is suspiciously large is refused before memory runs out.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise OSError("it is not an image of a known format") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise OSError(f"it has more than {limit} million pixels") from error
    except FileNotFoundError as error:
        raise OSError("there is no such file") from error
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error
    except Exception as error:
        # PIL's decoders raise SyntaxError, ValueError, struct.error and more for damaged files.
        raise OSError(f"it is damaged ({type(error).__name__}: {error})") from error


def _eight_bits(values: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    real = np.nan_to_num(values.astype(np.float64))
    brightest = (255.0 if real.max() > 1 else 1.0) if mode == "F" else 65535.0
    return np.clip(np.rint(real * (255 / brightest)), 0, 255).astype(np.uint8)


def _formats() -> list[str]:
    """Return the formats that are read, whatever a file is called."""
    # The common ones are then tried first.
    Image.preinit()
    Image.init()
    return [form for form in Image.ID if form not in _PROGRAMS]
