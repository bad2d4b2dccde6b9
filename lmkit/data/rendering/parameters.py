"""What decides a generated face: looks of the subject, and what changes between its images."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
"""Numbers a face."""
Ranges = Mapping[str, tuple[float, float, int]]

POINT_NAMES: tuple[str, ...] = (
    "left eye",
    "right eye",
    "nose",
    "left mouth corner",
    "right mouth corner",
)
"""Names of the landmarks in the order returned; left is left as seen in the image."""

OCCLUSIONS: tuple[str, ...] = ("bar", "patch", "hand", "hat", "dark glasses")
"""Kinds of occlusion; `image_parameters` gives the index as ``occlusion``, 5 or more for none."""

# Every parameter is uniform in (low, high); the third number is how many values are drawn.
IDENTITY: Ranges = {
    "skin": (0, 1, 1), "skin_hue": (-1, 1, 1), "head_width": (0.70, 0.84, 1), "jaw": (0.0, 0.3, 1),
    "hair_colour": (0, 1, 1), "hair_length": (0, 0.6, 1), "hair_volume": (0.07, 0.2, 1),
    "hairline": (-0.78, -0.5, 1), "hair_part": (-0.3, 0.3, 1), "hair_wave": (0.0, 0.1, 1),
    "hair_strands": (12, 30, 1), "eye_spacing": (0.41, 0.48, 1), "eye_height": (-0.14, -0.06, 1),
    "eye_size": (0.165, 0.21, 1), "eye_colour": (0, 1, 1), "eye_slant": (-0.12, 0.12, 1),
    "brow_thickness": (0.03, 0.06, 1), "brow_arch": (0.0, 0.1, 1), "brow_gap": (0.22, 0.29, 1),
    "nose_height": (0.18, 0.28, 1), "nose_width": (0.1, 0.17, 1), "nose_depth": (0.12, 0.24, 1),
    "mouth_width": (0.29, 0.37, 1), "mouth_height": (0.46, 0.54, 1), "lip_full": (0.05, 0.1, 1),
    "lip_colour": (0, 1, 1), "beard": (0, 1, 1), "glasses": (0, 1, 1), "glasses_colour": (0, 1, 1),
    "ear_size": (0.17, 0.24, 1), "neck_width": (0.4, 0.54, 1),
}  # fmt: skip
IMAGE: Ranges = {
    "yaw": (-15, 15, 1), "pitch": (-8, 8, 1), "roll": (-20, 20, 1), "scale": (0.82, 1.18, 1),
    "shift_x": (-0.2, 0.2, 1), "shift_y": (-0.2, 0.2, 1), "eye_open": (0.45, 1, 1),
    "mouth_open": (-0.2, 0.22, 1), "smile": (-0.3, 1, 1), "brow_raise": (-0.03, 0.08, 1),
    "light_azimuth": (-45, 45, 1), "light_elevation": (-15, 60, 1), "ambient": (0.6, 0.85, 1),
    "warmth": (-0.5, 0.5, 1), "exposure": (0.9, 1.1, 1), "blur": (0.0, 0.002, 1),
    "noise": (0.0, 0.01, 1), "lean": (-0.3, 0.3, 1), "clothes": (0, 1, 6), "backdrop": (0, 1, 32),
    "occlusion": (0, len(OCCLUSIONS) / 0.05, 1), "occluder": (0, 1, 8),
}  # fmt: skip


def _sample(ranges: Ranges, keys: Sequence[Sequence[int]]) -> dict[str, Doubles]:
    """Draws every parameter for each key: (N,) arrays, or (N, count) where count > 1."""
    total = sum(count for _, _, count in ranges.values())
    drawn = [np.random.default_rng(np.random.SeedSequence(k)).random(total) for k in keys]
    table = np.array(drawn, dtype=np.float64).reshape(len(keys), total)
    result, start = {}, 0
    for name, (low, high, count) in ranges.items():
        values = low + (high - low) * table[:, start : start + count]
        result[name], start = values[:, 0] if count == 1 else values, start + count
    return result


def identity_parameters(subjects: Sequence[int], *, seed: int) -> dict[str, Doubles]:
    """What a subject looks like in every image of it.

    Args:
        subjects: N subject numbers, each >= 0.
        seed: Seed >= 0 of the whole collection.

    Returns:
        Name to (N,) values: lengths in head units, kinds and colours as positions in [0, 1].
    """
    # The leading word keeps the streams apart: a SeedSequence ignores trailing zeros.
    return _sample(IDENTITY, [(1, seed, int(s)) for s in subjects])


def image_parameters(
    subjects: Sequence[int], numbers: Sequence[int], *, seed: int
) -> dict[str, Doubles]:
    """What changes from one image of a subject to the next.

    Args:
        subjects: N subject numbers, each >= 0.
        numbers: N image numbers within the subjects, each >= 0.
        seed: Seed >= 0 of the whole collection.

    Returns:
        Name to (N,) or (N, count) values: angles in degrees, shifts and blur in image units,
        ``scale`` relative to the usual size, ``occlusion`` as a position in `OCCLUSIONS`.
    """
    keys = [(2, seed, int(s), int(p)) for s, p in zip(subjects, numbers, strict=True)]
    return _sample(IMAGE, keys)
