"""Generated heads in three dimensions: their parameters, the canvas, and where all of it lies."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
"""Numbers a pixel: float32 throughout, which numpy's stubs cannot follow."""
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


def grid(values: ArrayLike) -> Floats:
    """Per-face values (..., N) as float32 (..., N, 1, 1), to combine with pixels."""
    return np.asarray(values, dtype=np.float32)[..., None, None]


class Canvas:
    """Pixels being painted: rgb (3, N, h, w) in [0, 1] with their places in image units."""

    def __init__(self, rgb: Floats, x: Floats, y: Floats, pixel: float) -> None:
        self.rgb, self.x, self.y, self.pixel = rgb, x, y, pixel

    @contextmanager
    def window(self, centre: Doubles, half: float) -> Iterator["Canvas"]:
        """A square part, `half` image units around centre (N, 2); written back on leaving."""
        size = self.x.shape[-1]
        width = min(size, int(np.ceil(2 * half * size)) + 2)
        first = np.clip(np.rint(centre * size - width / 2).astype(np.intp), 0, size - width)
        column = (first[:, 0, None] + np.arange(width))[:, None, :]
        row = (first[:, 1, None] + np.arange(width))[:, :, None]
        index = (slice(None), np.arange(len(first))[:, None, None], row, column)
        x, y = ((0.5 + part) * np.float32(self.pixel) for part in (column, row))
        part = Canvas(self.rgb[index], x.astype(np.float32), y.astype(np.float32), self.pixel)
        yield part
        self.rgb[index] = part.rgb

    def cover(self, distance: Floats, soft: float | Floats = 0.0) -> Floats:
        """Coverage in [0, 1] for a signed distance; the edge is a pixel wide, or `soft` if more."""
        width = np.maximum(np.float32(self.pixel), np.float32(soft))
        covered: Floats = np.clip(0.5 - distance / width, 0, 1)
        return covered

    def local(self, origin: Doubles, frame: Doubles) -> tuple[Floats, Floats]:
        """Pixels' (u, v) in the frame whose axes are the columns of `frame` (N, 2, 2)."""
        (a, b), (c, d) = (frame[:, 0].T, frame[:, 1].T)
        det = a * d - b * c
        dx, dy = self.x - grid(origin[:, 0]), self.y - grid(origin[:, 1])
        return (
            grid(d / det) * dx - grid(b / det) * dy,
            grid(a / det) * dy - grid(c / det) * dx,
        )

    def disc(self, origin: Doubles, frame: Doubles, soft: float | Floats = 0.0) -> Floats:
        """Coverage of the unit disc of a frame (N, 2, 2) at origin (N, 2): an ellipse."""
        u, v = self.local(origin, frame)
        radius = np.sqrt(np.abs(np.linalg.det(frame)))
        return self.cover((np.sqrt(u * u + v * v) - 1) * grid(radius), soft)

    def capsule(self, start: Doubles, end: Doubles, radius0: Doubles, radius1: Doubles) -> Floats:
        """Distance to a segment between two (N, 2) points, with a radius at each end."""
        along = end - start
        ax, ay = grid(along[:, 0]), grid(along[:, 1])
        dx, dy = self.x - grid(start[:, 0]), self.y - grid(start[:, 1])
        t = np.clip((dx * ax + dy * ay) / (ax * ax + ay * ay + 1e-12), 0, 1)
        dx, dy = dx - t * ax, dy - t * ay
        return np.sqrt(dx * dx + dy * dy) - grid(radius0) - t * grid(radius1 - radius0)

    def paint(self, alpha: Floats, colour: ArrayLike) -> None:
        """Lays a colour, (N, 3) or (3,), over the pixels with opacity alpha (N, h, w)."""
        tint = np.broadcast_to(np.asarray(colour, np.float32), (alpha.shape[0], 3)).T
        self.rgb += alpha * (tint[..., None, None] - self.rgb)

    def shade(self, alpha: Floats, factor: ArrayLike) -> None:
        """Multiplies the pixels by a factor, (N,) or one number, with opacity alpha."""
        self.rgb *= 1 + alpha * (grid(factor) - 1)


SKIN = np.array([(238, 203, 178), (228, 182, 148), (210, 156, 118), (172, 116, 80), (112, 72, 50),
                  (74, 46, 34)]) / 255  # fmt: skip
HAIR = np.array([(22, 18, 18), (52, 34, 24), (100, 62, 36), (146, 70, 34), (196, 148, 80),
                  (232, 206, 140), (150, 148, 148), (226, 224, 220)]) / 255  # fmt: skip
IRIS = np.array([(46, 26, 16), (92, 58, 28), (80, 96, 46), (52, 96, 140), (100, 130, 150)]) / 255

_HEAD_SCALE = 0.33  # half the head's height in image units at scale 1
_PIVOT = (0.0, 0.18, 0.62)  # what stays put under rotation: crops follow the features, not the neck
_CENTRE = (0.5, 0.53)  # where the pivot lies, in image units, when nothing is shifted
DEPTH = 0.9  # half the head's depth, in head units


def ramp(palette: Doubles, position: Doubles) -> Doubles:
    """Colours (N, 3) at positions in [0, 1] along a palette (K, 3), linear in between."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(position, stops, palette[:, c]) for c in range(3)], axis=-1)


class Scene:
    """The parameters of N faces, their 3-D pose and what follows from both."""

    def __init__(self, who: dict[str, Doubles], shot: dict[str, Doubles]) -> None:
        self.who, self.shot = who, shot
        yaw, pitch, roll = (np.deg2rad(shot[name]) for name in ("yaw", "pitch", "roll"))
        one, nil = np.ones_like(yaw), np.zeros_like(yaw)
        cos, sin = np.cos(yaw), np.sin(yaw)
        turn = _matrix(cos, nil, sin, nil, one, nil, -sin, nil, cos)
        cos, sin = np.cos(pitch), np.sin(pitch)
        nod = _matrix(one, nil, nil, nil, cos, sin, nil, -sin, cos)
        cos, sin = np.cos(roll), np.sin(roll)
        tilt = _matrix(cos, -sin, nil, sin, cos, nil, nil, nil, one)
        # The roll acts within the image, so outlines are drawn upright and then rolled.
        self.upright: Doubles = nod @ turn
        self.rotation: Doubles = tilt @ self.upright
        self.roll: Doubles = tilt[:, :2, :2]
        self.scale = _HEAD_SCALE * shot["scale"]
        shift = np.stack([shot["shift_x"], shot["shift_y"]], axis=-1)
        pivot = np.asarray(_CENTRE) + shift
        self.centre = pivot - self.scale[:, None] * (self.rotation[:, :2] @ np.array(_PIVOT))
        self.axes = np.stack([who["head_width"], one, DEPTH * one], axis=-1)
        self.skin = ramp(SKIN, who["skin"]) * (1 + who["skin_hue"][:, None] * (0.03, 0, -0.05))
        self.hair = ramp(HAIR, who["hair_colour"])
        self.bald = who["hair_length"] < 0.07
        self.long = np.clip((who["hair_length"] - 0.5) / 0.5, 0, 1) * (who["hair_length"] > 0.55)
        self._place_features()

    def _place_features(self) -> None:
        who, shot = self.who, self.shot
        spread = who["eye_spacing"] * who["head_width"]
        self.eyes = [self.on_head(side * spread, who["eye_height"], 0.97) for side in (-1, 1)]
        tip = self.on_head(0 * spread, who["nose_height"], 1.0)
        self.tip = tip + np.stack([0 * spread, 0 * spread, who["nose_depth"]], axis=-1)
        smile, gape = shot["smile"], np.maximum(shot["mouth_open"], 0)
        half = who["mouth_width"] * (1 + 0.12 * smile - 0.8 * gape)
        height = who["mouth_height"] - 0.07 * smile + 0.25 * gape
        self.corners = [self.on_head(side * half, height, 0.99) for side in (-1, 1)]
        self.lips = self.on_head(0 * half, height + 0.08 * smile, 1.03)

    def on_head(self, x: Doubles, y: Doubles, lift: float) -> Doubles:
        """Head positions (N, 3) over (x, y) on the ellipsoid's front, its depth times `lift`."""
        depth = np.sqrt(np.maximum(1 - (x / self.axes[:, 0]) ** 2 - y**2, 0.05))
        return np.stack([x, y, DEPTH * lift * depth], axis=-1)

    def project(self, position: Doubles) -> Doubles:
        """Image positions (N, 2) of head positions (N, 3)."""
        seen: Doubles = (self.rotation[:, :2] * position[:, None, :]).sum(axis=-1)
        places: Doubles = self.centre + self.scale[:, None] * seen
        return places

    def at(self, x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Doubles:
        """Image positions (N, 2) of head coordinates given one by one."""
        position: Doubles = np.stack(np.broadcast_arrays(x, y, z, self.scale)[:3], axis=-1)
        return self.project(position)

    def frame(self, position: Doubles, slant: ArrayLike, u: ArrayLike, v: ArrayLike) -> Doubles:
        """The plane touching the head at a position, seen in the image.

        Args:
            position: Head positions (N, 3).
            slant: Turn within the plane, in radians.
            u: Length of the plane's rightward axis, in head units.
            v: Length of its downward axis, in head units.

        Returns:
            (N, 2, 2) axes as columns, in image units; foreshortened as the head turns.
        """
        # Less curved than the ellipsoid: faces are flatter in front than eggs.
        normal = position / self.axes**2 * (0.7, 0.4, 1.0)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        across = np.stack([normal[:, 2], 0 * normal[:, 0], -normal[:, 0]], axis=-1)
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        down = np.cross(normal, across)
        columns = np.broadcast_arrays(np.cos(slant), np.sin(slant), u, v, self.scale)
        cos, sin, u, v, scale = (column[:, None] for column in columns)
        u, v = u * (cos * across + sin * down), v * (cos * down - sin * across)
        plane: Doubles = self.rotation[:, :2] @ np.stack([u, v], axis=-1)
        return scale[..., None] * plane

    def flat(self, u: ArrayLike, v: ArrayLike) -> Doubles:
        """Axes (N, 2, 2) facing the viewer, rolled with the head; lengths in head units."""
        lengths: Doubles = np.stack(np.broadcast_arrays(u, v, self.scale)[:2], axis=-1)
        return self.roll * lengths[:, None, :] * self.scale[:, None, None]

    def points(self) -> Doubles:
        """The landmarks (N, 5, 2) in image units."""
        return np.stack([self.project(p) for p in (*self.eyes, self.tip, *self.corners)], axis=1)


def _matrix(*entries: Doubles) -> Doubles:
    """3 x 3 matrices (N, 3, 3) from nine (N,) entries, row by row."""
    return np.stack(entries, axis=-1).reshape(-1, 3, 3)


class Surface:
    """An ellipsoid as seen in the image: outline, head-fixed position and light per pixel."""

    def __init__(self, canvas: Canvas, scene: Scene, axes: Doubles, origin: Doubles,
                 taper: Doubles | float) -> None:  # fmt: skip
        shot = scene.shot
        x, y = canvas.local(origin, scene.flat(1, 1))
        below = np.clip(y, 0, 1) ** 2  # narrows the jaw and moves the chin with the face's front
        x = (x - grid(0.2 * scene.upright[:, 0, 2]) * below) / (1 - grid(taper) * below)
        seen = scene.upright[:, :2] * axes[:, None, :]  # unit sphere to image plane
        back = np.linalg.pinv(seen)
        front = np.cross(seen[:, 0], seen[:, 1])
        front /= np.linalg.norm(front, axis=-1, keepdims=True)
        ball = [grid(back[:, i, 0]) * x + grid(back[:, i, 1]) * y for i in range(3)]
        square = ball[0] * ball[0] + ball[1] * ball[1] + ball[2] * ball[2]
        lift = np.sqrt(np.maximum(1 - square, 0))
        self.distance = (np.sqrt(square) - 1) * grid(0.85 * scene.scale)
        self.ball = [part + grid(front[:, i]) * lift for i, part in enumerate(ball)]
        azimuth, height = np.deg2rad(shot["light_azimuth"]), np.deg2rad(shot["light_elevation"])
        light = np.stack([np.sin(azimuth) * np.cos(height), -np.sin(height),
                          np.cos(azimuth) * np.cos(height)], axis=-1)  # fmt: skip
        light = (scene.rotation * light[:, :, None]).sum(axis=1)  # into the head's coordinates
        normal = [part / grid(axes[:, i]) for i, part in enumerate(self.ball)]
        length = np.sqrt(sum((n * n for n in normal), 1e-6))
        facing = sum((grid(light[:, i]) * n for i, n in enumerate(normal)), 0 * length) / length
        ambient = grid(shot["ambient"])
        self.light = ambient + (1 - ambient) * np.clip(facing + 0.25, 0, 1.25) * 1.05


def light_gain(scene: Scene) -> Doubles:
    """Rough brightness (N, 1) of what is lit like the face but not shaded with it."""
    return (0.55 + 0.45 * scene.shot["ambient"])[:, None]
