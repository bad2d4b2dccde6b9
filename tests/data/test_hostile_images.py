"""A corpus of hostile images: each is read, or refused with a reason, and takes little of both."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from lmkit.data import image_files
from lmkit.data.image_files import load_image, quick_problem
from lmkit.data.sets.folder import Folder

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
FORMATS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif",
           "PPM": ".ppm", "TGA": ".tga", "PCX": ".pcx", "SGI": ".sgi", "ICO": ".ico",
           "DDS": ".dds"}  # fmt: skip
FORMATS |= {form: suffix for form, suffix, codec in (
    ("WEBP", ".webp", "webp"), ("JPEG2000", ".jp2", "jpg_2000"), ("AVIF", ".avif", "avif"),
) if features.check(codec)}  # fmt: skip


def encoded(form, image=None, **options):
    file = BytesIO()
    (image or Image.fromarray(NOISE)).save(file, form, **options)
    return file.getvalue()


def png(width, height, *, data=b"", depth=8, colour=2, before=b""):
    """Return a PNG whose header says what it likes."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def bmp(width, height):
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def tiff(*entries, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    count, offset = struct.pack(f"{order}H", len(entries)), struct.pack(f"{order}I", 8)
    return mark + offset + count + body + bytes(4)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def animated(form):
    frames = [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (10, 200, 90)]
    return encoded(form, frames[0], save_all=True, append_images=frames[1:])


READ = {
    "animated.gif": animated("GIF"),
    "animated.png": animated("PNG"),
    "cmyk.jpg": encoded("JPEG", Image.fromarray(NOISE).convert("CMYK")),
    "cmyk.tif": encoded("TIFF", Image.fromarray(NOISE).convert("CMYK")),
    "lab.tif": encoded("TIFF", Image.new("LAB", (8, 8))),
    "bits.tif": encoded("TIFF", Image.fromarray(NOISE).convert("1")),
    "one pixel.png": encoded("PNG", Image.new("RGB", (1, 1))),
    "one row.png": encoded("PNG", Image.new("RGB", (3000, 1))),
    "grey and alpha.png": encoded("PNG", Image.new("LA", (8, 8))),
    "orientation 0.jpg": encoded("JPEG", exif=turned(0)),
    "orientation 9.jpg": encoded("JPEG", exif=turned(9)),
    "orientation 65535.jpg": encoded("JPEG", exif=turned(65535)),
    "rubbish for metadata.jpg": encoded("JPEG", exif=b"Exif\0\0" + b"\xff" * 60),
    "metadata in circles.jpg": encoded(
        "JPEG", exif=b"Exif\0\0" + tiff((0x8769, 4, 1, 8), (0x0112, 3, 1, 6))
    ),
    "words behind.png": encoded("PNG") + b"words" * 100,
    "another name.gif": encoded("JPEG"),
}
REFUSED = {
    "empty.jpg": b"",
    "one byte.png": b"\x89",
    "signature alone.png": b"\x89PNG\r\n\x1a\n",
    "signature alone.jpg": b"\xff\xd8\xff\xe0",
    "signature alone.tif": b"II*\0",
    "signature alone.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    "signature alone.bmp": b"BM",
    "words.jpg": b"these are words, not pixels",
    "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
    "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    "no width.png": png(0, 10),
    "no height.bmp": bmp(10, 0),
    "negative.bmp": bmp(-5, 10),
    "huge.png": png(2**31 - 1, 2**31 - 1),
    "large.png": png(100_000, 100_000),
    "huge.bmp": bmp(2**31 - 1, 2**31 - 1),
    "huge.ppm": b"P6 99999999 99999999 255\n",
    "long number.ppm": b"P6 " + b"9" * 5000 + b" 1 255\n",
    "huge.tif": tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1), (258, 3, 1, 8)),
    "in circles.tif": b"II*\0" + struct.pack("<IHI", 8, 0, 8),
    "no depth.png": png(8, 8, depth=77),
    "no colour.png": png(8, 8, colour=77),
    "too little.png": png(8, 8, data=bytes(5)),
    "text that unpacks to much.png": png(
        8, 8, before=struct.pack(">I", 70000) + b"zTXt" + bytes(70000) + bytes(4)
    ),
}
REFUSED |= {
    f"cut to {share:.0%}{suffix}": encoded(form)[: int(share * len(encoded(form)))]
    for form, suffix in FORMATS.items()
    for share in (0.02, 0.5)
}


@pytest.mark.parametrize("name", READ)
def test_an_odd_image_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    image = load_image(tmp_path / name)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert quick_problem(tmp_path / name) is None


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_image_is_refused_with_a_reason(tmp_path, name):
    (tmp_path / name).write_bytes(REFUSED[name])
    with pytest.raises(OSError, match=r"\w\w") as caught:
        load_image(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    for name in ("animated.gif", "animated.png"):
        (tmp_path / name).write_bytes(READ[name])
        assert abs(int(load_image(tmp_path / name).mean()) - 10) < 3


def test_a_folder_of_them_all_is_listed(tmp_path):
    for name, content in (READ | REFUSED).items():
        (tmp_path / name).write_bytes(content)
    folder = Folder(path=tmp_path)
    listed = {folder.key(index) for index in range(len(folder))}
    left_out = {name for name in READ | REFUSED if name.endswith(".eps")}
    assert listed == (READ | REFUSED).keys() - left_out
    assert any(name in note for note in folder.notes for name in left_out)
    found = {folder.key(index): folder.problem(index) for index in range(len(folder))}
    assert not any(found[name] for name in READ)
    assert found["empty.jpg"] == "it is empty"


def test_a_limit_of_pixels_can_be_given(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    large = tmp_path / "large.png"
    large.write_bytes(png(10_000, 9_000, data=bytes(9_000 * 30_001)))
    says = "more than 89 million pixels; LMKIT_MAX_MEGAPIXELS=N allows"
    with pytest.raises(OSError, match=says):
        load_image(large)
    monkeypatch.setenv(image_files.LIMIT, "91")
    assert load_image(large).shape == (9_000, 10_000, 3)
    monkeypatch.setenv(image_files.LIMIT, "0.001")
    (tmp_path / "small.png").write_bytes(encoded("PNG"))
    with pytest.raises(OSError, match="more than 0 million pixels"):
        load_image(tmp_path / "small.png")


@pytest.mark.parametrize("given", ["many", "-3", "0", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch, given):
    from lmkit.errors import LmkitError

    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv(image_files.LIMIT, given)
    with pytest.raises(LmkitError, match="is not a number of million pixels"):
        load_image(tmp_path / "a.png")
