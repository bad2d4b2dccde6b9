"""The same image is found again, saved or resized; others are not taken for it."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from lmkit.data.fingerprints import NEAR, Pair, fingerprint, near_pairs


def scene(seed: int, width: int = 120, height: int = 90) -> np.ndarray:
    """Return something smooth, as photographs are."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def distance(first: np.ndarray, second: np.ndarray) -> int:
    bits = [np.frombuffer(fingerprint(image).bits, np.uint8) for image in (first, second)]
    return int(np.unpackbits(bits[0] ^ bits[1]).sum())


def test_the_digest_tells_every_pixel_and_the_shape() -> None:
    image = scene(0)
    other = image.copy()
    other[3, 4, 1] ^= 1
    digests = {fingerprint(each).digest for each in (image, other, image.transpose(1, 0, 2))}
    assert len(digests) == 3
    assert fingerprint(image.copy()) == fingerprint(image)
    flat = np.zeros((4, 6, 3), np.uint8)
    assert fingerprint(flat).digest != fingerprint(flat.reshape(6, 4, 3)).digest


def test_the_bits_say_which_of_two_neighbours_is_brighter() -> None:
    rising = np.repeat(np.arange(17, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    assert fingerprint(rising).bits == b"\xff" * 32
    assert fingerprint(rising[:, ::-1]).bits == b"\x00" * 32


def test_copies_are_near_and_others_are_not() -> None:
    image = Image.fromarray(scene(0))
    jpeg = BytesIO()
    image.save(jpeg, "JPEG", quality=50)
    copies = {
        "compressed": Image.open(jpeg),
        "smaller": image.resize((60, 45)),
        "brighter": image.point(lambda value: value * 0.8 + 30),
        "softer": image.filter(ImageFilter.GaussianBlur(0.7)),
    }
    for name, copy in copies.items():
        assert distance(np.asarray(image), np.asarray(copy)) <= NEAR, name
    assert min(distance(scene(0), scene(seed)) for seed in range(1, 40)) > 2 * NEAR


def test_pairs_are_those_of_a_comparison_one_by_one(monkeypatch) -> None:
    monkeypatch.setattr("lmkit.data.fingerprints._CHUNK", 7)
    rng = np.random.default_rng(0)
    first = [rng.bytes(32) for _ in range(30)]
    second = [bytes(each) for each in first[:5]] + [rng.bytes(32) for _ in range(20)]
    second[2] = bytes([second[2][0] ^ 0b101, *second[2][1:]])
    slowly = set()
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            bits = int.bit_count(int.from_bytes(a, "big") ^ int.from_bytes(b, "big"))
            if bits <= 100:
                slowly.add(Pair(i, j, bits))
    assert set(near_pairs(first, second, limit=100)) == slowly
    assert {pair.distance for pair in near_pairs(first, second, limit=2)} == {0, 2}
    assert not list(near_pairs([], second))
    assert not list(near_pairs(first, []))
