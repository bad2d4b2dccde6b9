"""The head in three dimensions: pose, features and surfaces, and where they lie in the image."""

import numpy as np
from numpy.typing import ArrayLike

from lmkit.data.rendering.canvas import Canvas, grid
from lmkit.data.rendering.parameters import Doubles

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
