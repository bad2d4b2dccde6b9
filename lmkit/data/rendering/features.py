"""The parts of a face: ears, eyes, nose and mouth."""

import numpy as np

from lmkit.data.rendering.canvas import Canvas, grid
from lmkit.data.rendering.scene import IRIS, Scene, ramp


def draw_ears(canvas: Canvas, scene: Scene, in_front: bool) -> None:
    """Both ears: all of them behind the head, then what shows in front of it."""
    size = scene.who["ear_size"]
    for side in (-1, 1):
        # An ear facing the viewer shows over the head, the other one only past its outline.
        facing = scene.upright[:, 2, 0] * side
        alpha = grid(np.clip(facing * 8, 0, 1) if in_front else np.ones_like(facing))
        place = scene.at(side * (scene.axes[:, 0] + 0.01), 0.12, -0.08)
        width = size * (0.42 + 0.5 * np.clip(facing, -0.2, 0.6))
        with canvas.window(place, 0.13) as part:
            part.shade(alpha * part.disc(place, scene.flat(1.12 * width, 1.08 * size), 0.02), 0.8)
            part.paint(alpha * part.disc(place, scene.flat(width, size)), scene.skin * 0.95)
            inner = part.disc(place, scene.flat(0.55 * width, 0.62 * size), 0.02)
            part.shade(alpha * inner, 0.72)


def draw_eye(canvas: Canvas, scene: Scene, side: int) -> None:
    """One eye with its brow; ``side`` is -1 for the left one as seen, 1 for the right."""
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
        unit = grid(np.sqrt(np.abs(np.linalg.det(frame))))  # image units per eye half width
        bend = 1 - u * u
        upper, lower = -grid(0.66 * shot["eye_open"]) * bend, 0.46 * bend
        slope = np.sqrt(1 + u * u)
        opening = part.cover(np.maximum(upper - v, v - lower) / slope * unit)
        part.paint(opening, (0.94, 0.93, 0.92))
        radius = np.sqrt(u * u + v * v)
        part.paint(opening * part.cover((radius - 0.52) * unit), ramp(IRIS, who["eye_colour"]))
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
        curve = grid(9 * who["brow_arch"]) * (u * u - 0.02) - 0.12 * side * u
        full = grid(who["brow_thickness"]) * (1 - 8 * u * u)
        strip = np.maximum(np.abs(v - curve) - full, np.abs(u) - 0.23)
        part.paint(part.cover(strip * grid(scene.scale)) * 0.92, ink)


def draw_nose(canvas: Canvas, scene: Scene) -> None:
    """Bridge, flanks, wings and nostrils, and light on the tip."""
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


def draw_mouth(canvas: Canvas, scene: Scene) -> None:
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
            u = across - grid(bow_x) * np.clip(1 - u * u, 0, 1)
        bend = np.clip(1 - u * u, 0, 1)
        unit, half = grid(scene.scale), grid(np.linalg.norm(right - left, axis=-1) / 2)
        outside = (np.abs(u) - 1) * half
        line = grid(bow_y) * bend
        ceiling, floor = line - grid(0.15 * gape) * bend, line + grid(0.85 * gape) * bend
        top = ceiling - grid(0.9 * plump) * bend * (0.8 + 1.2 * u * u)
        bottom = floor + grid(1.25 * plump) * bend
        below = np.hypot(u / 0.7, (v - bottom - 0.07) / 0.06)
        part.shade(part.cover((below - 1) * unit * 0.06, 0.02), 0.82)
        whole = part.cover(np.maximum(np.maximum(top - v, v - bottom) * unit, outside))
        part.paint(whole, lips)
        part.shade(whole * part.cover((v - line) * unit), 0.8)
        part.shade(whole * part.cover(np.hypot(u / 2, v - bottom + grid(0.5 * plump)) * unit
                                      - unit * 0.1, 0.02), 1.12)  # fmt: skip
        gap = (np.maximum(ceiling - v, v - floor) - 0.012) * unit
        part.paint(part.cover(np.maximum(gap, outside)), (0.2, 0.05, 0.05))
        teeth = np.maximum(ceiling - v, v - ceiling - grid(0.4 * gape) * bend) * unit
        shown = grid(np.clip(gape * 25 - 0.8, 0, 1))
        inside = np.maximum(teeth, (np.abs(u) - 0.85) * half)
        part.paint(part.cover(inside) * shown, (0.93, 0.91, 0.87))
        for corner in (left, right):
            part.shade(part.disc(corner, scene.flat(0.035, 0.035), 0.01), 0.6)
