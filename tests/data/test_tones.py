"""Grey of more than eight bits is shown as the file means it, or refused with its values."""

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lmkit.data.image_files import load_image


def ramp(white, dtype, black=0.0):
    """Return 256 shades from black to white."""
    values = np.linspace(black, white, 256).reshape(16, 16)
    return (values.round() if np.issubdtype(dtype, np.integer) else values).astype(dtype)


def saved(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return path


def tagged(tags):
    info = ImageFileDirectory_v2()
    for number, value in tags.items():
        info[number] = value
    return {"tiffinfo": info}


@pytest.mark.parametrize(
    ("name", "dtype", "white"),
    [
        *(("a.tif", np.float32, white) for white in (1, 255, 65535)),
        *(("a.tif", np.uint16, white) for white in (255, 4095, 65535)),
        *(("a.png", np.uint16, white) for white in (255, 4095, 65535)),
        *(("a.tif", np.int32, white) for white in (255, 4095, 65535)),
    ],
)
def test_a_ramp_is_a_ramp_whatever_its_range(tmp_path, name, dtype, white):
    found = load_image(saved(tmp_path / name, ramp(white, dtype)))
    np.testing.assert_allclose(found[..., 0].ravel(), np.arange(256), atol=1)
    assert (found == found[..., :1]).all()


def test_values_from_minus_one_to_one_are_black_to_white(tmp_path):
    found = load_image(saved(tmp_path / "a.tif", ramp(1, np.float32, black=-1)))
    np.testing.assert_allclose(found[..., 0].ravel(), np.arange(256), atol=1)


def test_resampling_that_overshoots_changes_no_range(tmp_path):
    values = ramp(1, np.float32)
    values[0, :3] = (-0.04, 1.03, 0.5)
    found = load_image(saved(tmp_path / "a.tif", values))
    assert found[0, :3, 0].tolist() == [0, 255, 128]


def test_what_is_no_number_is_black_and_decides_nothing(tmp_path):
    values = ramp(1, np.float32)
    values[0, :3] = (np.nan, np.inf, -np.inf)
    found = load_image(saved(tmp_path / "a.tif", values))
    assert found[0, :3, 0].tolist() == [0, 0, 0]
    assert found[-1, -1, 0] == 255


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-1024, 3071, np.float32), (-1024, 3071, np.int32), (0, 2**30, np.int32), (0, 1e9, "f4")],
)
def test_a_range_that_nobody_knows_is_refused_with_it(tmp_path, low, high, dtype):
    path = saved(tmp_path / "a.tif", ramp(high, np.dtype(dtype).type, black=low))
    with pytest.raises(OSError, match=rf"from {low} to .*is not known; save it with 8 or 16 bits"):
        load_image(path)


def test_a_tiff_may_say_what_is_white(tmp_path):
    values = ramp(900, np.uint16)
    path = saved(tmp_path / "a.tif", values, **tagged({281: 1023}))
    assert load_image(path).max() == round(900 / 1023 * 255)
    # The brightest value that does occur is no range.
    path = saved(tmp_path / "b.tif", values, **tagged({281: 900}))
    assert load_image(path).max() == round(900 / 4095 * 255)


def test_a_tiff_whose_zero_is_white_is_turned(tmp_path):
    path = saved(tmp_path / "a.tif", ramp(65535, np.uint16))
    content = path.read_bytes()
    # The entry of PhotometricInterpretation: tag 262, a short, once, of the value 1.
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    assert content.count(entry + b"\x01\x00") == 1
    path.write_bytes(content.replace(entry + b"\x01\x00", entry + b"\x00\x00"))
    np.testing.assert_array_equal(load_image(path)[..., 0].ravel(), np.arange(255, -1, -1))


def test_many_rows_are_as_few(tmp_path):
    values = np.tile(ramp(65535, np.uint16), (40, 1))
    found = load_image(saved(tmp_path / "a.tif", values))
    assert found.shape == (640, 16, 3)
    np.testing.assert_array_equal(found[:16], found[-16:])
