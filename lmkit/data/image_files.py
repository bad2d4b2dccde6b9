"""Images: reading any file as RGB, and framing any size into the square the networks see.

A [Framing][lmkit.data.framing.Framing] remembers how an image was framed, so that points travel
between pixels of the original and normalised points of the square exactly, in both directions.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
"""What the names of image files end in, in lower case."""

_FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    with _reasons(), Image.open(path) as image:
        image.load()
        return np.asarray(_upright(to_rgb(image), image))


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
    """Say why a file cannot be an image, from its first bytes and without decoding it; or none."""
    try:
        with _reasons():
            with path.open("rb") as file:
                start = file.read(4)
            if not start:
                raise OSError("it is empty")
            # Asking PIL takes ten times as long, which counts with hundreds of thousands.
            if not start.startswith(_FIRST_BYTES):
                Image.open(path).close()
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


def _upright(pixels: Image.Image, source: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(source.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Damaged metadata says nothing about the pixels, which were decoded without complaint.
        turn = None
    return pixels if turn is None else pixels.transpose(turn)
