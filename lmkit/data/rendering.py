"""Generated faces with exact landmarks, for training and testing without downloaded pictures.

`render_faces` draws cartoon-like but face-shaped heads (shaded skin, eyes, brows, nose, lips, ears,
hair, neck, clothes, background) under 3-D head rotation, and returns where the five landmarks were
drawn. Each face is a pure function of (seed, subject, picture, size): a subject keeps its looks
across pictures, while pose, expression, light, background and occlusion change.

Two coordinate systems are used throughout:

* head units: x to the image's right, y down, z towards the viewer, origin at the head's centre, the
  head ellipsoid's half height = 1;
* picture units: (x, y) in [0, 1] across the whole picture, so that a scene does not depend on the
  size in pixels. Only anti-aliasing, blur taps and pixel noise know the pixel grid.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]  # per pixel: float32 throughout, which stubs cannot follow
Doubles = NDArray[np.float64]  # per face
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
"""Kinds of occlusion; `picture_parameters` gives the index as ``occlusion``, 5 or more for none."""

# Every parameter is uniform in (low, high); the third number is how many values are drawn.
_IDENTITY: Ranges = {
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
_PICTURE: Ranges = {
    "yaw": (-15, 15, 1), "pitch": (-8, 8, 1), "roll": (-20, 20, 1), "scale": (0.82, 1.18, 1),
    "shift_x": (-0.2, 0.2, 1), "shift_y": (-0.2, 0.2, 1), "eye_open": (0.45, 1, 1),
    "mouth_open": (-0.2, 0.22, 1), "smile": (-0.3, 1, 1), "brow_raise": (-0.03, 0.08, 1),
    "light_azimuth": (-45, 45, 1), "light_elevation": (-15, 60, 1), "ambient": (0.6, 0.85, 1),
    "warmth": (-0.5, 0.5, 1), "exposure": (0.9, 1.1, 1), "blur": (0.0, 0.002, 1),
    "noise": (0.0, 0.01, 1), "lean": (-0.3, 0.3, 1), "clothes": (0, 1, 6), "backdrop": (0, 1, 32),
    "occlusion": (0, len(OCCLUSIONS) / 0.05, 1), "occluder": (0, 1, 8),
}  # fmt: skip

_SKIN = np.array([(238, 203, 178), (228, 182, 148), (210, 156, 118), (172, 116, 80), (112, 72, 50),
                  (74, 46, 34)]) / 255  # fmt: skip
_HAIR = np.array([(22, 18, 18), (52, 34, 24), (100, 62, 36), (146, 70, 34), (196, 148, 80),
                  (232, 206, 140), (150, 148, 148), (226, 224, 220)]) / 255  # fmt: skip
_IRIS = np.array([(46, 26, 16), (92, 58, 28), (80, 96, 46), (52, 96, 140), (100, 130, 150)]) / 255

_HEAD_SCALE = 0.33  # half the head's height in picture units at scale 1
_PIVOT = (0.0, 0.18, 0.62)  # what stays put under rotation: crops follow the features, not the neck
_CENTRE = (0.5, 0.53)  # where the pivot lies, in picture units, when nothing is shifted
_DEPTH = 0.9  # half the head's depth, in head units
_CHUNK_PIXELS = 1 << 16  # picture elements drawn together: small enough to stay in the cache


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
    """What a subject looks like in every picture of it.

    Args:
        subjects: N subject numbers, each >= 0.
        seed: Seed >= 0 of the whole collection.

    Returns:
        Name to (N,) values: lengths in head units, kinds and colours as positions in [0, 1].
    """
    # The leading word keeps the streams apart: a SeedSequence ignores trailing zeros.
    return _sample(_IDENTITY, [(1, seed, int(s)) for s in subjects])


def picture_parameters(
    subjects: Sequence[int], pictures: Sequence[int], *, seed: int
) -> dict[str, Doubles]:
    """What changes from one picture of a subject to the next.

    Args:
        subjects: N subject numbers, each >= 0.
        pictures: N picture numbers within the subjects, each >= 0.
        seed: Seed >= 0 of the whole collection.

    Returns:
        Name to (N,) or (N, count) values: angles in degrees, shifts and blur in picture units,
        ``scale`` relative to the usual size, ``occlusion`` as a position in `OCCLUSIONS`.
    """
    keys = [(2, seed, int(s), int(p)) for s, p in zip(subjects, pictures, strict=True)]
    return _sample(_PICTURE, keys)


def _grid(values: ArrayLike) -> Floats:
    """Per-face values (..., N) as float32 (..., N, 1, 1), to combine with pixels."""
    return np.asarray(values, dtype=np.float32)[..., None, None]


def _ramp(palette: Doubles, position: Doubles) -> Doubles:
    """Colours (N, 3) at positions in [0, 1] along a palette (K, 3), linear in between."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(position, stops, palette[:, c]) for c in range(3)], axis=-1)


class _Canvas:
    """Pixels being painted: rgb (3, N, h, w) in [0, 1] with their places in picture units."""

    def __init__(self, rgb: Floats, x: Floats, y: Floats, pixel: float) -> None:
        self.rgb, self.x, self.y, self.pixel = rgb, x, y, pixel

    @contextmanager
    def window(self, centre: Doubles, half: float) -> Iterator["_Canvas"]:
        """A square part, `half` picture units around centre (N, 2); written back on leaving."""
        size = self.x.shape[-1]
        width = min(size, int(np.ceil(2 * half * size)) + 2)
        first = np.clip(np.rint(centre * size - width / 2).astype(np.intp), 0, size - width)
        column = (first[:, 0, None] + np.arange(width))[:, None, :]
        row = (first[:, 1, None] + np.arange(width))[:, :, None]
        index = (slice(None), np.arange(len(first))[:, None, None], row, column)
        x, y = ((0.5 + part) * np.float32(self.pixel) for part in (column, row))
        part = _Canvas(self.rgb[index], x.astype(np.float32), y.astype(np.float32), self.pixel)
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
        dx, dy = self.x - _grid(origin[:, 0]), self.y - _grid(origin[:, 1])
        return (
            _grid(d / det) * dx - _grid(b / det) * dy,
            _grid(a / det) * dy - _grid(c / det) * dx,
        )

    def disc(self, origin: Doubles, frame: Doubles, soft: float | Floats = 0.0) -> Floats:
        """Coverage of the unit disc of a frame (N, 2, 2) at origin (N, 2): an ellipse."""
        u, v = self.local(origin, frame)
        radius = np.sqrt(np.abs(np.linalg.det(frame)))
        return self.cover((np.sqrt(u * u + v * v) - 1) * _grid(radius), soft)

    def capsule(self, start: Doubles, end: Doubles, radius0: Doubles, radius1: Doubles) -> Floats:
        """Distance to a segment between two (N, 2) points, with a radius at each end."""
        along = end - start
        ax, ay = _grid(along[:, 0]), _grid(along[:, 1])
        dx, dy = self.x - _grid(start[:, 0]), self.y - _grid(start[:, 1])
        t = np.clip((dx * ax + dy * ay) / (ax * ax + ay * ay + 1e-12), 0, 1)
        dx, dy = dx - t * ax, dy - t * ay
        return np.sqrt(dx * dx + dy * dy) - _grid(radius0) - t * _grid(radius1 - radius0)

    def paint(self, alpha: Floats, colour: ArrayLike) -> None:
        """Lays a colour, (N, 3) or (3,), over the pixels with opacity alpha (N, h, w)."""
        tint = np.broadcast_to(np.asarray(colour, np.float32), (alpha.shape[0], 3)).T
        self.rgb += alpha * (tint[..., None, None] - self.rgb)

    def shade(self, alpha: Floats, factor: ArrayLike) -> None:
        """Multiplies the pixels by a factor, (N,) or one number, with opacity alpha."""
        self.rgb *= 1 + alpha * (_grid(factor) - 1)


class _Scene:
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
        # The roll acts within the picture, so outlines are drawn upright and then rolled.
        self.upright: Doubles = nod @ turn
        self.rotation: Doubles = tilt @ self.upright
        self.roll: Doubles = tilt[:, :2, :2]
        self.scale = _HEAD_SCALE * shot["scale"]
        shift = np.stack([shot["shift_x"], shot["shift_y"]], axis=-1)
        pivot = np.asarray(_CENTRE) + shift
        self.centre = pivot - self.scale[:, None] * (self.rotation[:, :2] @ np.array(_PIVOT))
        self.axes = np.stack([who["head_width"], one, _DEPTH * one], axis=-1)
        self.skin = _ramp(_SKIN, who["skin"]) * (1 + who["skin_hue"][:, None] * (0.03, 0, -0.05))
        self.hair = _ramp(_HAIR, who["hair_colour"])
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
        return np.stack([x, y, _DEPTH * lift * depth], axis=-1)

    def project(self, position: Doubles) -> Doubles:
        """Picture positions (N, 2) of head positions (N, 3)."""
        seen: Doubles = (self.rotation[:, :2] * position[:, None, :]).sum(axis=-1)
        places: Doubles = self.centre + self.scale[:, None] * seen
        return places

    def at(self, x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Doubles:
        """Picture positions (N, 2) of head coordinates given one by one."""
        position: Doubles = np.stack(np.broadcast_arrays(x, y, z, self.scale)[:3], axis=-1)
        return self.project(position)

    def frame(self, position: Doubles, slant: ArrayLike, u: ArrayLike, v: ArrayLike) -> Doubles:
        """The plane touching the head at a position, seen in the picture.

        Args:
            position: Head positions (N, 3).
            slant: Turn within the plane, in radians.
            u: Length of the plane's rightward axis, in head units.
            v: Length of its downward axis, in head units.

        Returns:
            (N, 2, 2) axes as columns, in picture units; foreshortened as the head turns.
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
        """The landmarks (N, 5, 2) in picture units."""
        return np.stack([self.project(p) for p in (*self.eyes, self.tip, *self.corners)], axis=1)


def _matrix(*entries: Doubles) -> Doubles:
    """3 x 3 matrices (N, 3, 3) from nine (N,) entries, row by row."""
    return np.stack(entries, axis=-1).reshape(-1, 3, 3)


class _Surface:
    """An ellipsoid as seen in the picture: outline, head-fixed position and light per pixel."""

    def __init__(self, canvas: _Canvas, scene: _Scene, axes: Doubles, origin: Doubles,
                 taper: Doubles | float) -> None:  # fmt: skip
        shot = scene.shot
        x, y = canvas.local(origin, scene.flat(1, 1))
        below = np.clip(y, 0, 1) ** 2  # narrows the jaw and moves the chin with the face's front
        x = (x - _grid(0.2 * scene.upright[:, 0, 2]) * below) / (1 - _grid(taper) * below)
        seen = scene.upright[:, :2] * axes[:, None, :]  # unit sphere to picture plane
        back = np.linalg.pinv(seen)
        front = np.cross(seen[:, 0], seen[:, 1])
        front /= np.linalg.norm(front, axis=-1, keepdims=True)
        ball = [_grid(back[:, i, 0]) * x + _grid(back[:, i, 1]) * y for i in range(3)]
        square = ball[0] * ball[0] + ball[1] * ball[1] + ball[2] * ball[2]
        lift = np.sqrt(np.maximum(1 - square, 0))
        self.distance = (np.sqrt(square) - 1) * _grid(0.85 * scene.scale)
        self.ball = [part + _grid(front[:, i]) * lift for i, part in enumerate(ball)]
        azimuth, height = np.deg2rad(shot["light_azimuth"]), np.deg2rad(shot["light_elevation"])
        light = np.stack([np.sin(azimuth) * np.cos(height), -np.sin(height),
                          np.cos(azimuth) * np.cos(height)], axis=-1)  # fmt: skip
        light = (scene.rotation * light[:, :, None]).sum(axis=1)  # into the head's coordinates
        normal = [part / _grid(axes[:, i]) for i, part in enumerate(self.ball)]
        length = np.sqrt(sum((n * n for n in normal), 1e-6))
        facing = sum((_grid(light[:, i]) * n for i, n in enumerate(normal)), 0 * length) / length
        ambient = _grid(shot["ambient"])
        self.light = ambient + (1 - ambient) * np.clip(facing + 0.25, 0, 1.25) * 1.05


def _draw_backdrop(canvas: _Canvas, scene: _Scene) -> None:
    b = scene.shot["backdrop"]
    kind = np.minimum(b[:, 6] * 6, 5).astype(int)
    angle = 2 * np.pi * b[:, 7]
    x, y = canvas.x - 0.5, canvas.y - 0.5
    along = _grid(np.cos(angle)) * x + _grid(np.sin(angle)) * y
    across = _grid(np.cos(angle)) * y - _grid(np.sin(angle)) * x
    mix = np.clip(0.5 + along * _grid(0.4 + 1.2 * b[:, 8]), 0, 1)  # gradients; the rest replaces it
    rate = 2 * np.pi * (1.5 + 5 * b[:, 9])
    wave = np.sin(_grid(rate) * along + _grid(20 * b[:, 10]))
    crisp = 1 + 8 * b[:, 11]
    mix[kind == 1] = (0.5 + np.clip(_grid(crisp) * wave, -1, 1) / 2)[kind == 1]
    check = wave * np.sin(_grid(rate) * across)
    mix[kind == 2] = (0.5 + np.clip(_grid(crisp) * check, -1, 1) / 2)[kind == 2]
    blobs = np.zeros_like(mix)
    for i in range(12, 30, 3):
        radius = 0.06 + 0.2 * b[:, i + 2]
        square = (canvas.x - _grid(b[:, i])) ** 2 + (canvas.y - _grid(b[:, i + 1])) ** 2
        distance = np.sqrt(square) - _grid(radius)
        blobs = np.maximum(blobs, canvas.cover(distance, _grid(0.02 + 0.2 * b[:, 30])))
    mix[kind == 3] = blobs[kind == 3]
    smooth = np.full_like(mix, 0.5)
    for i in range(12, 28, 2):
        fx, fy = 24 * (b[:, i] - 0.5), 24 * (b[:, i + 1] - 0.5)
        smooth += 0.16 * np.sin(_grid(fx) * x + _grid(fy) * y + _grid(9 * b[:, i]))
    mix[kind == 4] = np.clip(smooth, 0, 1)[kind == 4]
    # Patterns of low contrast, as in a portrait out of focus: with loud ones, a small network
    # would spend its few minutes of training on redrawing the wallpaper.
    second = b[:, 0:3] + 0.3 * (b[:, 3:6] - b[:, 0:3])
    for alpha, colour in ((np.ones_like(mix), b[:, 0:3]), (mix, second)):
        grey = colour.mean(axis=1, keepdims=True)  # rooms and streets are not as gaudy as chance
        canvas.paint(alpha, (0.5 * colour + 0.5 * grey) * (0.15 + 0.35 * b[:, 31:32]))


def _draw_body(canvas: _Canvas, scene: _Scene) -> None:
    """Hair behind the head, shoulders and neck."""
    who, shot, scale = scene.who, scene.shot, scene.scale
    x, y = canvas.local(scene.centre, scene.flat(1, 1))
    low = 0.35 + 1.15 * scene.long
    width = scene.axes[:, 0] * (0.98 + 0.6 * who["hair_volume"]) + 0.1 * scene.long
    v = (y - _grid((low - 1.0) / 2)) / _grid((low + 1.0) / 2)
    wavy = 1 + _grid(who["hair_wave"]) * np.sin(7 * y + _grid(who["hair_strands"]))
    u = (x + _grid(0.2 * scene.upright[:, 0, 2])) / (_grid(width) * wavy)
    alpha = canvas.cover((np.sqrt(np.sqrt(u**4 + v**4)) - 1) * _grid(0.6 * scale))
    canvas.paint(alpha * _grid(~scene.bald), scene.hair * 0.62)

    top = scene.at(0, 0.5, -0.25)
    base = top + scale[:, None] * np.stack([shot["lean"], 0.85 + 0 * scale], axis=-1)
    clothes = shot["clothes"]
    shoulders = base + scale[:, None] * (0.0, 0.72)
    size = np.stack([(1.45 + 0.3 * clothes[:, 3]) * scale, 0.8 * scale], axis=-1)
    alpha = canvas.disc(shoulders, size[:, :, None] * np.eye(2))
    canvas.paint(alpha, clothes[:, :3])
    stripes = np.sin((canvas.x + canvas.y * _grid(clothes[:, 4] > 0.7)) * _grid(60 + 0 * scale))
    canvas.shade(alpha * np.clip(stripes * 4, 0, 1) * _grid(clothes[:, 5] > 0.6), 0.7)
    girth = who["neck_width"] * scale
    alpha = canvas.cover(canvas.capsule(top, base, girth, girth * 1.1))
    canvas.paint(alpha, scene.skin * _light_gain(scene))
    # The head's own shadow fades down the neck.
    canvas.shade(alpha * np.clip(1 - (y - 0.75) * 1.2, 0, 1), 0.55)


def _light_gain(scene: _Scene) -> Doubles:
    """Rough brightness (N, 1) of what is lit like the face but not shaded with it."""
    return (0.55 + 0.45 * scene.shot["ambient"])[:, None]


def _draw_ears(canvas: _Canvas, scene: _Scene, in_front: bool) -> None:
    size = scene.who["ear_size"]
    for side in (-1, 1):
        # An ear facing the viewer shows over the head, the other one only past its outline.
        facing = scene.upright[:, 2, 0] * side
        alpha = _grid(np.clip(facing * 8, 0, 1) if in_front else np.ones_like(facing))
        place = scene.at(side * (scene.axes[:, 0] + 0.01), 0.12, -0.08)
        width = size * (0.42 + 0.5 * np.clip(facing, -0.2, 0.6))
        with canvas.window(place, 0.13) as part:
            part.shade(alpha * part.disc(place, scene.flat(1.12 * width, 1.08 * size), 0.02), 0.8)
            part.paint(alpha * part.disc(place, scene.flat(width, size)), scene.skin * 0.95)
            inner = part.disc(place, scene.flat(0.55 * width, 0.62 * size), 0.02)
            part.shade(alpha * inner, 0.72)


def _draw_eye(canvas: _Canvas, scene: _Scene, side: int) -> None:
    who, shot = scene.who, scene.shot
    place = scene.eyes[(side + 1) // 2]
    eye, size = scene.project(place), who["eye_size"]
    slant = side * who["eye_slant"]
    frame = scene.frame(place, slant, size, size)
    brow = scene.on_head(place[:, 0], place[:, 1] - who["brow_gap"] - shot["brow_raise"], 0.99)
    ink = 0.35 * scene.hair + 0.65 * np.array((0.13, 0.08, 0.06))  # fair hair has darker brows
    with canvas.window(eye, 0.15) as part:
        socket = part.disc(eye, scene.frame(place, slant, 1.65 * size, 1.3 * size), 0.06)
        part.shade(socket, 0.84)
        u, v = part.local(eye, frame)
        unit = _grid(np.sqrt(np.abs(np.linalg.det(frame))))  # picture units per eye half width
        bend = 1 - u * u
        upper, lower = -_grid(0.66 * shot["eye_open"]) * bend, 0.46 * bend
        slope = np.sqrt(1 + u * u)
        opening = part.cover(np.maximum(upper - v, v - lower) / slope * unit)
        part.paint(opening, (0.94, 0.93, 0.92))
        radius = np.sqrt(u * u + v * v)
        part.paint(opening * part.cover((radius - 0.52) * unit), _ramp(_IRIS, who["eye_colour"]))
        part.paint(opening * part.cover((radius - 0.27) * unit), (0.03, 0.02, 0.02))
        glint = part.cover((np.hypot(u + 0.16, v + 0.18) - 0.09) * unit)
        part.paint(opening * glint * 0.8, (1, 1, 1))
        ends = part.cover((np.abs(u) - 1.08) * unit)
        lash = part.cover((np.abs(v - upper) / slope - 0.1) * unit)
        part.paint(lash * ends * 0.9, (0.1, 0.06, 0.05))
        part.shade(part.cover((np.abs(v - lower) / slope - 0.04) * unit) * ends, 0.72)
        fold = part.cover((np.abs(v - upper + 0.34) - 0.05) * unit)
        part.shade(fold * part.cover((np.abs(u) - 0.9) * unit), 0.78)
        u, v = part.local(scene.project(brow), scene.frame(brow, 0.6 * slant, 1.0, 1.0))
        curve = _grid(9 * who["brow_arch"]) * (u * u - 0.02) - 0.12 * side * u
        full = _grid(who["brow_thickness"]) * (1 - 8 * u * u)
        strip = np.maximum(np.abs(v - curve) - full, np.abs(u) - 0.23)
        part.paint(part.cover(strip * _grid(scene.scale)) * 0.92, ink)


def _draw_nose(canvas: _Canvas, scene: _Scene) -> None:
    who, scale = scene.who, scene.scale
    tip, wide = scene.project(scene.tip), who["nose_width"]
    bridge = scene.at(0, who["eye_height"] + 0.02, 0.9)
    y, z = scene.tip[:, 1], scene.tip[:, 2] - who["nose_depth"]
    # The unlit flank is darker; with the light in front both are, slightly.
    dark = -np.sign(scene.shot["light_azimuth"])
    aside = scene.flat(0.6 * wide, 0)[:, :, 0] * dark[:, None]
    with canvas.window((bridge + tip) / 2, 0.16) as part:
        flank = part.capsule(bridge + aside * 0.6, tip + aside, 0.04 * scale, 0.75 * wide * scale)
        part.shade(part.cover(flank, 0.03), 0.7)
        under = scene.at(0, y + 0.13, z + 0.2 * who["nose_depth"])
        part.shade(part.disc(under, scene.flat(1.1 * wide, 0.06), 0.02), 0.78)
        for side in (-1, 1):
            wing = scene.at(side * wide, y + 0.03, z + 0.3 * who["nose_depth"])
            part.shade(part.disc(wing, scene.flat(0.09, 0.09)), 0.8)
            part.shade(part.disc(wing, scene.flat(0.06, 0.07), 0.015), 1.22)
        ridge = part.capsule(bridge, tip, 0.03 * scale, 0.62 * wide * scale)
        part.shade(part.cover(ridge, 0.02), 1.16)
        for side in (-1, 1):
            nostril = scene.at(side * 0.55 * wide, y + 0.085, z + 0.6 * who["nose_depth"])
            part.shade(part.disc(nostril, scene.flat(0.045, 0.03)), 0.35)
        part.paint(part.disc(tip, scene.flat(0.06, 0.05), 0.025) * 0.4, (1, 1, 1))


def _draw_mouth(canvas: _Canvas, scene: _Scene) -> None:
    """Lips in a frame whose u axis runs from corner (-1) to corner (1), exactly."""
    who, shot = scene.who, scene.shot
    left, right = (scene.project(corner) for corner in scene.corners)
    down = scene.scale[:, None] * (scene.rotation[:, :2] @ np.array([0.0, 0.98, -0.2]))
    middle = (left + right) / 2
    frame = np.stack([(right - left) / 2, down], axis=-1)
    # The lips' middle lies nearer the viewer than the corners: it shifts as the head turns.
    bow_x, bow_y = np.linalg.solve(frame, (scene.project(scene.lips) - middle)[:, :, None]).T[0]
    plump, gape = who["lip_full"], np.maximum(shot["mouth_open"], 0)
    red = np.stack([0.62 + 0.2 * who["lip_colour"], 0.28 - 0.12 * who["lip_colour"],
                    0.28 - 0.06 * who["lip_colour"]], axis=-1)  # fmt: skip
    strength = 0.35 + 0.5 * who["lip_colour"] * (scene.long > 0)
    lips = strength[:, None] * red + (1 - strength[:, None]) * scene.skin * (0.82, 0.62, 0.6)
    with canvas.window(middle, 0.18) as part:
        across, v = part.local(middle, frame)
        u = across
        for _ in range(3):  # undoes across = u + bow_x (1 - u²), which leaves the corners alone
            u = across - _grid(bow_x) * np.clip(1 - u * u, 0, 1)
        bend = np.clip(1 - u * u, 0, 1)
        unit, half = _grid(scene.scale), _grid(np.linalg.norm(right - left, axis=-1) / 2)
        outside = (np.abs(u) - 1) * half
        line = _grid(bow_y) * bend
        ceiling, floor = line - _grid(0.15 * gape) * bend, line + _grid(0.85 * gape) * bend
        top = ceiling - _grid(0.9 * plump) * bend * (0.8 + 1.2 * u * u)
        bottom = floor + _grid(1.25 * plump) * bend
        below = np.hypot(u / 0.7, (v - bottom - 0.07) / 0.06)
        part.shade(part.cover((below - 1) * unit * 0.06, 0.02), 0.82)
        whole = part.cover(np.maximum(np.maximum(top - v, v - bottom) * unit, outside))
        part.paint(whole, lips)
        part.shade(whole * part.cover((v - line) * unit), 0.8)
        part.shade(whole * part.cover(np.hypot(u / 2, v - bottom + _grid(0.5 * plump)) * unit
                                      - unit * 0.1, 0.02), 1.12)  # fmt: skip
        gap = (np.maximum(ceiling - v, v - floor) - 0.012) * unit
        part.paint(part.cover(np.maximum(gap, outside)), (0.2, 0.05, 0.05))
        teeth = np.maximum(ceiling - v, v - ceiling - _grid(0.4 * gape) * bend) * unit
        shown = _grid(np.clip(gape * 25 - 0.8, 0, 1))
        inside = np.maximum(teeth, (np.abs(u) - 0.85) * half)
        part.paint(part.cover(inside) * shown, (0.93, 0.91, 0.87))
        for corner in (left, right):
            part.shade(part.disc(corner, scene.flat(0.035, 0.035), 0.01), 0.6)


def _draw_glasses(canvas: _Canvas, scene: _Scene) -> None:
    """Framed glasses for some subjects; dark ones where they are the picture's occlusion."""
    who = scene.who
    dark = np.floor(scene.shot["occlusion"]) == OCCLUSIONS.index("dark glasses")
    worn = _grid(dark | (who["glasses"] < 0.09))
    colour = _ramp(np.array([(0.05, 0.05, 0.06), (0.35, 0.2, 0.1), (0.6, 0.58, 0.5)]),
                   who["glasses_colour"])  # fmt: skip
    radius = who["eye_size"] + 0.08
    plane = scene.scale[:, None, None] * scene.rotation[:, :2, :2] * radius[:, None, None]
    unit = _grid(radius * scene.scale)
    for side in (-1, 1):
        lens = scene.project(scene.eyes[(side + 1) // 2])
        hinge = lens + side * plane[:, :, 0]
        with canvas.window(lens, 0.17) as part:
            u, v = part.local(lens, plane)
            distance = np.sqrt(np.sqrt(u**4 + v**4 * 1.6)) - 1
            part.shade(part.cover(distance * unit) * worn, np.where(dark, 0.08, 0.93))
            part.paint(part.cover((np.abs(distance) - 0.09) * unit) * worn, colour)
            ear = scene.at(side * scene.axes[:, 0], scene.who["eye_height"], 0.05)
            thin = 0.022 * scene.scale
            part.paint(part.cover(part.capsule(hinge, ear, thin, thin)) * worn, colour)
            middle = scene.at(0, who["eye_height"] - 0.02, 0.98 * _DEPTH)
            inner = lens - side * plane[:, :, 0]
            part.paint(part.cover(part.capsule(inner, middle, thin, thin)) * worn, colour)


def _draw_hair(canvas: _Canvas, scene: _Scene, cap: _Surface) -> Floats:
    """Hair on the skull down to the hairline; returns its coverage (N, h, w)."""
    who = scene.who
    x, y, z = cap.ball
    line = who["hairline"]
    level = -0.74 * line - 0.67 * np.sqrt(1 - line**2)
    field = -0.74 * y - 0.67 * z - _grid(level) + _grid(who["hair_part"]) * x * z
    strands = _grid(who["hair_strands"])
    field += _grid(who["hair_wave"]) * np.sin(strands * x * 0.7 + strands)
    sides = np.abs(x) - 0.86 - np.maximum(-z, 0) + _grid(scene.long * 0.06)
    field = np.where(_grid(scene.long > 0) > 0, np.maximum(field, sides), field)
    size = _grid(0.8 * scene.scale)
    present = _grid(~scene.bald)
    outline = canvas.cover(cap.distance)
    canvas.shade(outline * canvas.cover(-(field + 0.05) * size, 0.03) * present, 0.7)
    alpha = outline * canvas.cover(-field * size) * present
    canvas.paint(alpha, scene.hair)
    flow = strands * (x + 0.3 * np.sin(3 * y + strands))
    gloss = (np.sin(flow) + np.sin(2.3 * flow + 1)) * 0.06
    canvas.rgb *= 1 + alpha * gloss
    return alpha


def _draw_occluder(canvas: _Canvas, scene: _Scene, cap: _Surface) -> None:
    """A bar, a patch, a hand or a hat over part of the face, in a few of the pictures."""
    draw, scale = scene.shot["occluder"], scene.scale
    kind = np.floor(scene.shot["occlusion"]).astype(int)
    chosen = [_grid(kind == i) for i in range(4)]
    angle = np.pi * draw[:, 6]
    way = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    spot = scene.at(1.1 * (draw[:, 3] - 0.5), 0.2 + 1.1 * (draw[:, 4] - 0.5), 0.8)
    bar = canvas.capsule(spot - 2 * way, spot + 2 * way, *(2 * [(0.09 + 0.1 * draw[:, 5]) * scale]))
    canvas.paint(canvas.cover(bar) * chosen[0], draw[:, :3])
    axes = np.stack([way, way[:, ::-1] * (-1, 1)], axis=-1)
    axes = axes * (scale[:, None] * (0.25 + 0.25 * draw[:, [5, 7]]))[:, None, :]
    canvas.paint(canvas.disc(spot, axes) * chosen[1], draw[:, :3])

    # A hand comes from below: palm towards the lower side, four fingers up across the face.
    side = np.where(draw[:, 7] < 0.5, -1.0, 1.0)
    palm = spot + scale[:, None] * np.stack([0.5 * side, 0.6 + 0 * scale], axis=-1)
    arm = palm + np.stack([0.1 * side, 0.8 + 0 * scale], axis=-1)
    reach = (spot - palm) * 1.1
    turn = np.stack([-reach[:, 1], reach[:, 0]], axis=-1)
    for start, end, girth in (
        (palm, arm, 0.26),
        *((palm + 0.25 * k * turn, palm + reach * (1.15 - 0.08 * k * k) + 0.34 * k * turn, 0.095)
          for k in (-1.2, -0.4, 0.4, 1.2)),
    ):  # fmt: skip
        shape = canvas.capsule(start, end, girth * scale, girth * scale)
        canvas.shade(canvas.cover(shape - _grid(0.03 * scale)) * chosen[2], 0.6)
        canvas.paint(canvas.cover(shape) * chosen[2], scene.skin * 0.95 * _light_gain(scene))

    field = -cap.ball[1] - 0.2 * cap.ball[2] - _grid(0.1 + 0.25 * draw[:, 5])
    alpha = canvas.cover(cap.distance - _grid(0.03 * scale)) * canvas.cover(-field * _grid(scale))
    canvas.paint(alpha * chosen[3], draw[:, :3])
    canvas.rgb *= 1 + alpha * chosen[3] * (cap.light - 1)
    rim = -0.3 - 0.3 * draw[:, 5]
    brim = [scene.at(0.75 * s, rim, 0.55) for s in (-1, 1)]
    brim.insert(1, scene.at(0 * rim, rim + 0.08, 1.2))
    for start, end in ((brim[0], brim[1]), (brim[1], brim[2])):
        shape = canvas.cover(canvas.capsule(start, end, 0.1 * scale, 0.1 * scale))
        canvas.paint(shape * chosen[3], draw[:, :3] * 0.7)


def _draw_scene(scene: _Scene, size: int) -> Floats:
    """Paints N faces back to front, to (3, N, size, size)."""
    count, who = len(scene.scale), scene.who
    ticks = ((np.arange(size, dtype=np.float32) + 0.5) / np.float32(size))[None]
    canvas = _Canvas(np.zeros((3, count, size, size), np.float32), ticks[:, None, :],
                     ticks[:, :, None], 1 / size)  # fmt: skip
    _draw_backdrop(canvas, scene)
    _draw_body(canvas, scene)
    _draw_ears(canvas, scene, in_front=False)
    head = _Surface(canvas, scene, scene.axes, scene.centre, who["jaw"])
    skull = scene.at(0, -0.06, -0.06)
    cap = _Surface(canvas, scene, scene.axes * (1 + who["hair_volume"][:, None]), skull, 0.0)
    face = canvas.cover(head.distance)
    canvas.paint(face, scene.skin)
    bearded = (who["beard"] < 0.35) & (scene.long == 0)
    density = np.where(bearded, 0.2 + 2 * who["beard"], 0)
    aside = np.abs(head.ball[0])  # the beard's edge falls from the nose to the mouth, then rises
    chin = head.ball[1] - (0.36 + aside * (0.55 - 0.9 * aside))
    beard = face * canvas.cover(-chin * _grid(scene.scale), 0.025) * _grid(density)
    canvas.paint(beard, 0.8 * scene.hair)
    for side in (-1, 1):
        cheek = scene.on_head(side * 0.4 * np.ones(count), 0.25 * np.ones(count), 1.0)
        with canvas.window(scene.project(cheek), 0.12) as part:
            soft = part.disc(scene.project(cheek), scene.frame(cheek, 0.0, 0.18, 0.15), 0.09)
            part.paint(soft * 0.22, scene.skin * (1.05, 0.62, 0.6))
    for side in (-1, 1):
        _draw_eye(canvas, scene, side)
    _draw_nose(canvas, scene)
    _draw_mouth(canvas, scene)
    _draw_ears(canvas, scene, in_front=True)
    hair = _draw_hair(canvas, scene, cap)
    light = 1 + face * (head.light - 1)
    canvas.rgb *= light + hair * (cap.light - light)
    _draw_glasses(canvas, scene)
    _draw_occluder(canvas, scene, cap)
    return canvas.rgb


def _develop(rgb: Floats, scene: _Scene, noise: Floats) -> NDArray[np.uint8]:
    """Exposure, colour of the light, blur and noise; to (N, size, size, 3) bytes."""
    shot, size = scene.shot, rgb.shape[-1]
    warmth = 1 + np.array([[0.12], [0.0], [-0.12]]) * shot["warmth"]
    rgb = rgb * _grid(warmth * shot["exposure"])
    reach = int(np.ceil(2 * _PICTURE["blur"][1] * size))
    steps = np.arange(-reach, reach + 1)[:, None] / size
    taps = np.exp(-0.5 * (steps / (shot["blur"] + 1e-4)) ** 2)
    taps = _grid(taps / taps.sum(axis=0))
    for axis in (2, 3):
        margin = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded = np.moveaxis(np.pad(rgb, margin, mode="edge"), axis, 0)
        rgb = np.zeros_like(rgb)
        for k, tap in enumerate(taps):
            rgb += tap * np.moveaxis(padded[k : k + size], 0, axis)
    rgb = rgb + noise * _grid(shot["noise"])
    return np.moveaxis(np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8), 0, -1)


def render_faces(
    subjects: Sequence[int], pictures: Sequence[int], *, seed: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws one face for each pair of subject and picture number.

    Args:
        subjects: N subject numbers, each >= 0; a subject looks the same in all its pictures.
        pictures: N picture numbers within the subjects, each >= 0.
        seed: Seed >= 0 of the whole collection.
        size: Width and height of the pictures in pixels, at least 16.

    Returns:
        Images (N, size, size, 3), RGB in 0..255, and points (N, 5, 2) as (x, y) in pixels in the
        order of `POINT_NAMES`, where (0, 0) is the centre of the top-left pixel. A point lies where
        its feature was drawn, whether something covers it or not, and always inside the picture.

    Raises:
        ValueError: The sequences differ in length, or size is below 16.
    """
    if len(subjects) != len(pictures):
        raise ValueError(f"{len(subjects)} subjects but {len(pictures)} pictures")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, not {size}")
    count, step = len(subjects), max(1, _CHUNK_PIXELS // size**2)
    images = np.empty((count, size, size, 3), np.uint8)
    points = np.empty((count, len(POINT_NAMES), 2), np.float32)
    for start in range(0, count, step):
        part = slice(start, start + step)
        who = identity_parameters(subjects[part], seed=seed)
        scene = _Scene(who, picture_parameters(subjects[part], pictures[part], seed=seed))
        keys = [
            (3, seed, int(s), int(p)) for s, p in zip(subjects[part], pictures[part], strict=True)
        ]
        grain = [np.random.default_rng(np.random.SeedSequence(key)).standard_normal(
            (size, size), np.float32) for key in keys]  # fmt: skip
        images[part] = _develop(_draw_scene(scene, size), scene, np.stack(grain))
        points[part] = scene.points() * size - 0.5
    return images, points
