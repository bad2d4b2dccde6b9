"""Which files are images that are read here, by their names and first bytes."""

import mimetypes
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

from PIL import Image, features

FIRST_BYTES = 32
"""How many of a file's first bytes tell what it is."""

_CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
_PROGRAMS = frozenset(("EPS",))  # Drawings that are programs, which PIL has Ghostscript run.
# What PIL knows by name and does not decode: tables of measurements, drawings, videos, captions.
_NO_IMAGES = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"))

_COMMON = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_SIGNATURES = (
    *(*_COMMON, b"BM", b"8BPS", b"qoif", b"DDS ", b"icns", b"SIMPLE  =", b"/* XPM */"),
    *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"Y\xa6j\x95"),
    *(b"P%d%c" % (number, blank) for number in range(1, 7) for blank in b"\n\r\t "),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class OtherKind(NamedTuple):
    """A kind of images or videos that is not read here."""

    name: str
    """What to call some of them, at the beginning of a sentence."""
    way: str
    """How they can be read after all, as one sentence."""


HEIC = OtherKind("HEIC images", "They are read with: pip install 'lmkit[heic]'.")
IMAGES = OtherKind("Images of kinds that cannot be read here", "Convert them to .jpg or .png.")
RAW = OtherKind("Raw images of cameras", "Convert them to .jpg or .png.")
VIDEOS = OtherKind(
    "Videos", "Take their frames out, for example with: ffmpeg -i VIDEO frames/%06d.png."
)

_SUFFIXES = {
    HEIC: ".heic .heics .heif .heifs .hif",
    RAW: ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    IMAGES: ".ai .avif .bpg .cdr .dcm .emf .eps .exr .flif .hdr .j2c .j2k .jp2 .jpc .jpf .jpx .jxl "
    ".jxr .kra .psb .svg .svgz .wdp .webp .wmf .xcf",
    VIDEOS: ".3g2 .3gp .asf .avi .flv .gifv .m2ts .m2v .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf "
    ".ogv .rm .ts .vob .webm .wmv .y4m",
}
_OTHERS = {suffix: kind for kind, words in _SUFFIXES.items() for suffix in words.split()}
# What lies beside images by the thousand and is none: not opened to look what it is.
_WORDS = (
    ".7z .bib .bz2 .c .cfg .csv .db .doc .docx .gz .h .h5 .hdf .hdf5 .htm .html .ini .ipynb .js "
    ".json .jsonl .lock .log .lst .m .mat .md .md5 .npy .npz .ods .parquet .pdf .pickle .pkl .pth "
    ".pts .py .rar .rst .safetensors .sh .sha256 .sqlite .srt .tar .tfrecord .tgz .toml .tsv .txt "
    ".xls .xlsx .xml .xz .yaml .yml .zip"
)
_BESIDE = frozenset(_WORDS.split())
_MIME = mimetypes.MimeTypes()  # Python's own table: the same on every machine.


@lru_cache(maxsize=1)
def heic_is_read() -> bool:
    """Return whether HEIC images are read: whether pillow-heif is installed, and works."""
    if find_spec("pillow_heif") is None:
        return False
    try:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    except Exception:
        # One that does not fit this PIL, or finds no library: images of other kinds are read.
        return False
    return True


def formats() -> list[str]:
    """Return the formats that PIL reads for lmkit, whatever a file is called."""
    heic_is_read()
    # The common ones are then tried first.
    Image.preinit()
    Image.init()
    return [form for form in Image.ID if form not in _PROGRAMS]


def image_suffixes() -> frozenset[str]:
    """Return what the names of image files end in, in lower case: what PIL reads here.

    Those are the formats that it opens, and has the codec for. Videos, documents and tables of
    measurements, which it knows by name too, are none of them.
    """
    heic_is_read()
    return frozenset(
        suffix
        for suffix, form in Image.registered_extensions().items()
        # MPO, which cameras write, is opened as the JPEG that it begins with.
        if (form in Image.OPEN or form == "MPO")
        and form not in _NO_IMAGES
        and (form not in _CODECS or features.check(_CODECS[form]))
    )


def other_kind(suffix: str) -> OtherKind | None:
    """Return what a file is that is not read here, by what its name ends in; None if no image.

    Args:
        suffix: In lower case, with its full stop.
    """
    if suffix in _OTHERS or not suffix:
        return _OTHERS.get(suffix)
    kind = (_MIME.guess_type(f"a{suffix}")[0] or "").partition("/")[0]
    return {"image": IMAGES, "video": VIDEOS}.get(kind)


def may_be_image(suffix: str) -> bool:
    """Return whether a file whose name says nothing has to be opened to see what it is."""
    return suffix not in _BESIDE


def kind_of(start: bytes) -> OtherKind | bool:
    """Return what a file is by its first bytes.

    Args:
        start: As many of them as there are, up to
            [FIRST_BYTES][lmkit.data.image_kinds.FIRST_BYTES].

    Returns:
        True if it looks like an image that is read here, which PIL has to confirm; False if like
        no image; or what it is that is not read.
    """
    if start.startswith(_SIGNATURES):
        return not start.startswith((b"\0\0\0\x0cjP", b"\xff\x4f")) or _has("JPEG2000")
    if start[:4] == b"RIFF":
        kinds = {b"WEBP": _has("WEBP") or IMAGES, b"AVI ": VIDEOS}
        return kinds.get(start[8:12], False)
    if start[4:8] == b"ftyp":
        return _in_boxes(start[8:12])
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\x76\x2f\x31\x01", b"gimp xcf")):
        return IMAGES
    if start.startswith((b"\x1aE\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01")):
        return VIDEOS
    return False


def looks_common(start: bytes) -> bool:
    """Return whether first bytes are of the commonest formats, of which PIL need not be asked."""
    return start.startswith((*_COMMON, b"BM", b"RIFF"))


def _in_boxes(brand: bytes) -> OtherKind | bool:
    """Return what a file of the family of MP4 is."""
    if brand in (b"avif", b"avis"):
        return _has("AVIF") or IMAGES
    if brand in _HEIC_BRANDS:
        return heic_is_read() or HEIC
    return IMAGES if brand == b"crx " else VIDEOS


def _has(form: str) -> bool:
    return bool(features.check(_CODECS[form]))
