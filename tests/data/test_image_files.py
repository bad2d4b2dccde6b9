"""Reading images of every kind, and framing them exactly."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from lmkit.data.framing import Fit, Framing, frame
from lmkit.data.image_files import load_image, quick_problem, to_rgb
from lmkit.data.image_kinds import image_suffixes

FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")
SIZES = [(64, 64), (200, 120), (121, 200), (50, 33), (7, 300), (1, 1)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_points_return_to_their_pixels(fit: Fit, width: int, height: int) -> None:
    framing = Framing.of(width, height, 64, fit)
    pixels = np.random.default_rng(0).uniform(-5, 305, (9, 3, 2))
    there_and_back = framing.to_pixels(framing.to_normalised(pixels))
    np.testing.assert_allclose(there_and_back, pixels, atol=1e-4)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_whole_image_stays_inside(fit: Fit, width: int, height: int) -> None:
    corners = Framing.of(width, height, 64, fit).to_normalised(
        [(-0.5, -0.5), (width - 0.5, height - 0.5)]
    )
    assert np.abs(corners).max() <= 1 + 1e-9
    assert np.abs(corners).max() == pytest.approx(1)


def test_crop_is_the_central_square() -> None:
    framing = Framing.of(300, 100, 50, "crop")
    np.testing.assert_allclose(framing.to_normalised((99.5, -0.5)), (-1, -1), atol=1e-9)
    np.testing.assert_allclose(framing.to_normalised((199.5, 99.5)), (1, 1), atol=1e-9)


@pytest.mark.parametrize("fit", FITS)
def test_square_of_the_right_size_is_left_alone(fit: Fit) -> None:
    image = noise(32, 32)
    framed, framing = frame(image, 32, fit)
    np.testing.assert_array_equal(framed, image)
    np.testing.assert_allclose(framing.to_normalised((0, 0)), (1 / 32 - 1, 1 / 32 - 1))


def test_crop_to_the_short_side_cuts_without_resampling() -> None:
    image = noise(33, 50)
    framed, _ = frame(image, 33, "crop")
    np.testing.assert_array_equal(framed, image[:, 8:41])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [48, 96, 160])
@pytest.mark.parametrize(("width", "height"), [(200, 120), (121, 200), (96, 96), (80, 50)])
def test_dot_lies_where_the_framing_says(fit: Fit, size: int, width: int, height: int) -> None:
    x, y = width // 2 + 9, height // 2 - 7
    image = np.zeros((height, width, 3), np.uint8)
    image[y - 3 : y + 4, x - 3 : x + 4] = 255
    framed, framing = frame(image, size, fit)
    assert framed.shape == (size, size, 3)
    weights = framed[..., 0].astype(float)
    down, across = np.mgrid[:size, :size]
    centre = np.array([(weights * across).sum(), (weights * down).sum()]) / weights.sum()
    expected = framing.to_square((x, y))
    np.testing.assert_allclose(centre, expected, atol=0.1)


def test_padding_repeats_the_edge() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:10], image[10:] = (200, 10, 30), (5, 100, 60)
    framed, framing = frame(image, 40, "pad")
    assert framing.offset == (0, 10)
    assert (framed[:20] == (200, 10, 30)).all()
    assert (framed[20:] == (5, 100, 60)).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1)])
def test_extreme_shapes_are_framed(fit: Fit, width: int, height: int) -> None:
    framed, _ = frame(np.full((height, width, 3), 77, np.uint8), 32, fit)
    assert framed.shape == (32, 32, 3)
    assert (framed == 77).all()


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    framed, _ = frame(stripes, 32, "stretch")
    assert np.abs(framed.astype(int) - 127).max() <= 12


def save(path: Path, array: np.ndarray, mode: str, **options: object) -> Path:
    Image.fromarray(array).convert(mode).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "L"), ("a.png", "1"), ("a.png", "P"), ("a.png", "LA"), ("a.png", "RGB"),
        ("a.jpg", "RGB"), ("a.jpg", "L"), ("a.jpg", "CMYK"), ("a.tif", "CMYK"), ("a.gif", "P"),
        ("a.bmp", "RGB"), ("a.webp", "RGB"), ("a.ppm", "RGB"), ("a.pgm", "L"),
    ],
)  # fmt: skip
def test_every_kind_of_image_is_read_as_rgb(tmp_path: Path, name: str, mode: str) -> None:
    array = np.full((10, 14, 3), 255, np.uint8)
    array[:, :7] = 0
    image = load_image(save(tmp_path / name, array, mode))
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), array.astype(int), atol=8)
    assert quick_problem(tmp_path / name) is None


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    array = np.zeros((4, 6, 4), np.uint8)
    array[:, :3] = (255, 0, 0, 255)
    array[:, 3:] = (0, 0, 255, 0)
    Image.fromarray(array).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert (image[:, :3] == (255, 0, 0)).all()
    assert (image[:, 3:] == 255).all()


def test_transparent_palette_colour_is_white(tmp_path: Path) -> None:
    array = np.zeros((4, 4), np.uint8)
    array[:, 2:] = 1
    palette = Image.fromarray(array).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "a.png", transparency=0)
    image = load_image(tmp_path / "a.png")
    assert (image[:, :2] == 255).all()
    assert not (image[:, 2:] == 255).any()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_of_sixteen_bits_keeps_its_tones(tmp_path: Path, name: str) -> None:
    grey = np.linspace(0, 65535, 256).reshape(16, 16).round().astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / name)
    image = load_image(tmp_path / name)
    np.testing.assert_array_equal(image[..., 0].ravel(), np.arange(256))
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("brightest", [1, 255])
def test_floating_point_is_scaled_by_its_range(tmp_path: Path, brightest: float) -> None:
    grey = np.linspace(0, brightest, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "a.tif")
    np.testing.assert_allclose(load_image(tmp_path / "a.tif")[..., 1].ravel(), range(256), atol=1)


def as_stored(upright: Image.Image, orientation: int) -> Image.Image:
    """Return how a camera stores an image that a viewer who obeys the tag sees upright."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    return upright.transpose(turn[orientation]) if orientation > 1 else upright


def grey_of_sixteen_bits() -> Image.Image:
    steps = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24)
    return Image.fromarray(steps * np.uint16(150))


UPRIGHT = {
    "L": Image.fromarray(noise(16, 24)).convert("L"),
    "I;16": grey_of_sixteen_bits(),
    "P": Image.fromarray(noise(16, 24)).convert("P"),
    "RGB": Image.fromarray(noise(16, 24)),
    "RGBA": Image.fromarray(np.concatenate([noise(16, 24), noise(16, 24)[..., :1]], axis=2)),
    "CMYK": Image.fromarray(noise(16, 24)).convert("CMYK"),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, ".tif") for mode in UPRIGHT),
        *((mode, ".png") for mode in UPRIGHT if mode != "CMYK"),
    ],
)
def test_images_are_turned_upright(
    tmp_path: Path, mode: str, suffix: str, orientation: int
) -> None:
    upright = UPRIGHT[mode]
    exif = Image.Exif()
    exif[0x0112] = orientation
    as_stored(upright, orientation).save(tmp_path / f"a{suffix}", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / f"a{suffix}"), np.asarray(to_rgb(upright)))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_turned_tiff_is_upright_however_it_is_compressed(
    tmp_path: Path, compression: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    as_stored(UPRIGHT["L"], 6).save(tmp_path / "a.tif", exif=exif, compression=compression)
    found = load_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, np.asarray(to_rgb(UPRIGHT["L"])))


def test_what_pil_reads_as_an_image_is_an_image() -> None:
    suffixes = image_suffixes()
    common = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".tif", ".tiff", ".gif"}
    assert common | {".ppm", ".pgm", ".qoi", ".dds", ".pcx", ".psd"} <= suffixes
    for suffix, codec in ((".webp", "webp"), (".jp2", "jpg_2000")):
        assert (suffix in suffixes) == features.check(codec)
    assert not suffixes & {".pdf", ".eps", ".ps", ".mpg", ".h5", ".hdf", ".wmf"}


def test_a_format_that_somebody_adds_to_pil_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    for table in ("EXTENSION", "OPEN"):
        monkeypatch.setattr(Image, table, {**getattr(Image, table)})
    assert ".own" not in image_suffixes()
    Image.EXTENSION[".own"] = "OWN"
    assert ".own" not in image_suffixes()
    Image.OPEN["OWN"] = Image.OPEN["PNG"]
    assert ".own" in image_suffixes()


def test_a_program_is_never_run_as_an_image(tmp_path: Path) -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    for name in ("a.eps", "a.jpg"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match="not an image of a known format"):
            load_image(tmp_path / name)
        assert quick_problem(tmp_path / name) == "it is not an image of a known format"


def test_damaged_metadata_does_not_cost_the_image(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\xff\xff\xff")
    assert load_image(tmp_path / "a.jpg").shape == (8, 8, 3)


def test_truncated_image_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", noise(64, 64), "RGB")
    path.write_bytes(path.read_bytes()[:-900])
    assert quick_problem(path) is None
    with pytest.raises(OSError, match="truncated"):
        load_image(path)


def test_damaged_png_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(64, 64), "RGB")
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"\w"):
        load_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"these are words, not pixels", "not an image of a known format"), (b"", "it is empty")],
)
def test_other_files_are_refused_quickly_too(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(OSError, match="not an image of a known format"):
        load_image(path)
    assert reason in (quick_problem(path) or "none")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such file"):
        load_image(tmp_path / "a.jpg")
    assert quick_problem(tmp_path / "a.jpg") == "there is no such file"


@pytest.mark.parametrize("limit", [50, 90])
def test_decompression_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    # Past the limit PIL warns, past twice the limit it raises.
    path = save(tmp_path / "a.png", noise(11, 11), "RGB")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(OSError, match="million pixels"):
        load_image(path)
