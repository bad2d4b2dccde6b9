"""What is painted: ears, eyes, nose and mouth; background, body, hair, glasses and occluders."""

import numpy as np

from lmkit.data.rendering.scene import (
    DEPTH,
    IRIS,
    OCCLUSIONS,
    Canvas,
    Floats,
    Scene,
    Surface,
    grid,
    light_gain,
    ramp,
)


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


def draw_backdrop(canvas: Canvas, scene: Scene) -> None:
    """What is behind the head: a gradient, waves, checks, blobs, clouds or one colour."""
    b = scene.shot["backdrop"]
    kind = np.minimum(b[:, 6] * 6, 5).astype(int)
    angle = 2 * np.pi * b[:, 7]
    x, y = canvas.x - 0.5, canvas.y - 0.5
    along = grid(np.cos(angle)) * x + grid(np.sin(angle)) * y
    across = grid(np.cos(angle)) * y - grid(np.sin(angle)) * x
    mix = np.clip(0.5 + along * grid(0.4 + 1.2 * b[:, 8]), 0, 1)  # gradients; the rest replaces it
    rate = 2 * np.pi * (1.5 + 5 * b[:, 9])
    wave = np.sin(grid(rate) * along + grid(20 * b[:, 10]))
    crisp = 1 + 8 * b[:, 11]
    mix[kind == 1] = (0.5 + np.clip(grid(crisp) * wave, -1, 1) / 2)[kind == 1]
    check = wave * np.sin(grid(rate) * across)
    mix[kind == 2] = (0.5 + np.clip(grid(crisp) * check, -1, 1) / 2)[kind == 2]
    blobs = np.zeros_like(mix)
    for i in range(12, 30, 3):
        radius = 0.06 + 0.2 * b[:, i + 2]
        square = (canvas.x - grid(b[:, i])) ** 2 + (canvas.y - grid(b[:, i + 1])) ** 2
        distance = np.sqrt(square) - grid(radius)
        blobs = np.maximum(blobs, canvas.cover(distance, grid(0.02 + 0.2 * b[:, 30])))
    mix[kind == 3] = blobs[kind == 3]
    smooth = np.full_like(mix, 0.5)
    for i in range(12, 28, 2):
        fx, fy = 24 * (b[:, i] - 0.5), 24 * (b[:, i + 1] - 0.5)
        smooth += 0.16 * np.sin(grid(fx) * x + grid(fy) * y + grid(9 * b[:, i]))
    mix[kind == 4] = np.clip(smooth, 0, 1)[kind == 4]
    # Patterns of low contrast, as in a portrait out of focus: with loud ones, a small network
    # would spend its few minutes of training on redrawing the wallpaper.
    second = b[:, 0:3] + 0.3 * (b[:, 3:6] - b[:, 0:3])
    for alpha, colour in ((np.ones_like(mix), b[:, 0:3]), (mix, second)):
        grey = colour.mean(axis=1, keepdims=True)  # rooms and streets are not as gaudy as chance
        canvas.paint(alpha, (0.5 * colour + 0.5 * grey) * (0.15 + 0.35 * b[:, 31:32]))


def draw_body(canvas: Canvas, scene: Scene) -> None:
    """Hair behind the head, shoulders and neck."""
    who, shot, scale = scene.who, scene.shot, scene.scale
    x, y = canvas.local(scene.centre, scene.flat(1, 1))
    low = 0.35 + 1.15 * scene.long
    width = scene.axes[:, 0] * (0.98 + 0.6 * who["hair_volume"]) + 0.1 * scene.long
    v = (y - grid((low - 1.0) / 2)) / grid((low + 1.0) / 2)
    wavy = 1 + grid(who["hair_wave"]) * np.sin(7 * y + grid(who["hair_strands"]))
    u = (x + grid(0.2 * scene.upright[:, 0, 2])) / (grid(width) * wavy)
    alpha = canvas.cover((np.sqrt(np.sqrt(u**4 + v**4)) - 1) * grid(0.6 * scale))
    canvas.paint(alpha * grid(~scene.bald), scene.hair * 0.62)

    top = scene.at(0, 0.5, -0.25)
    base = top + scale[:, None] * np.stack([shot["lean"], 0.85 + 0 * scale], axis=-1)
    clothes = shot["clothes"]
    shoulders = base + scale[:, None] * (0.0, 0.72)
    size = np.stack([(1.45 + 0.3 * clothes[:, 3]) * scale, 0.8 * scale], axis=-1)
    alpha = canvas.disc(shoulders, size[:, :, None] * np.eye(2))
    canvas.paint(alpha, clothes[:, :3])
    stripes = np.sin((canvas.x + canvas.y * grid(clothes[:, 4] > 0.7)) * grid(60 + 0 * scale))
    canvas.shade(alpha * np.clip(stripes * 4, 0, 1) * grid(clothes[:, 5] > 0.6), 0.7)
    girth = who["neck_width"] * scale
    alpha = canvas.cover(canvas.capsule(top, base, girth, girth * 1.1))
    canvas.paint(alpha, scene.skin * light_gain(scene))
    # The head's own shadow fades down the neck.
    canvas.shade(alpha * np.clip(1 - (y - 0.75) * 1.2, 0, 1), 0.55)


def draw_glasses(canvas: Canvas, scene: Scene) -> None:
    """Framed glasses for some subjects; dark ones where they are the image's occlusion."""
    who = scene.who
    dark = np.floor(scene.shot["occlusion"]) == OCCLUSIONS.index("dark glasses")
    worn = grid(dark | (who["glasses"] < 0.09))
    colour = ramp(np.array([(0.05, 0.05, 0.06), (0.35, 0.2, 0.1), (0.6, 0.58, 0.5)]),
                   who["glasses_colour"])  # fmt: skip
    radius = who["eye_size"] + 0.08
    plane = scene.scale[:, None, None] * scene.rotation[:, :2, :2] * radius[:, None, None]
    unit = grid(radius * scene.scale)
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
            middle = scene.at(0, who["eye_height"] - 0.02, 0.98 * DEPTH)
            inner = lens - side * plane[:, :, 0]
            part.paint(part.cover(part.capsule(inner, middle, thin, thin)) * worn, colour)


def draw_hair(canvas: Canvas, scene: Scene, cap: Surface) -> Floats:
    """Hair on the skull down to the hairline; returns its coverage (N, h, w)."""
    who = scene.who
    x, y, z = cap.ball
    line = who["hairline"]
    level = -0.74 * line - 0.67 * np.sqrt(1 - line**2)
    field = -0.74 * y - 0.67 * z - grid(level) + grid(who["hair_part"]) * x * z
    strands = grid(who["hair_strands"])
    field += grid(who["hair_wave"]) * np.sin(strands * x * 0.7 + strands)
    sides = np.abs(x) - 0.86 - np.maximum(-z, 0) + grid(scene.long * 0.06)
    field = np.where(grid(scene.long > 0) > 0, np.maximum(field, sides), field)
    size = grid(0.8 * scene.scale)
    present = grid(~scene.bald)
    outline = canvas.cover(cap.distance)
    canvas.shade(outline * canvas.cover(-(field + 0.05) * size, 0.03) * present, 0.7)
    alpha = outline * canvas.cover(-field * size) * present
    canvas.paint(alpha, scene.hair)
    flow = strands * (x + 0.3 * np.sin(3 * y + strands))
    gloss = (np.sin(flow) + np.sin(2.3 * flow + 1)) * 0.06
    canvas.rgb *= 1 + alpha * gloss
    return alpha


def draw_occluder(canvas: Canvas, scene: Scene, cap: Surface) -> None:
    """A bar, a patch, a hand or a hat over part of the face, in a few of the images."""
    draw, scale = scene.shot["occluder"], scene.scale
    kind = np.floor(scene.shot["occlusion"]).astype(int)
    chosen = [grid(kind == i) for i in range(4)]
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
        canvas.shade(canvas.cover(shape - grid(0.03 * scale)) * chosen[2], 0.6)
        canvas.paint(canvas.cover(shape) * chosen[2], scene.skin * 0.95 * light_gain(scene))

    field = -cap.ball[1] - 0.2 * cap.ball[2] - grid(0.1 + 0.25 * draw[:, 5])
    alpha = canvas.cover(cap.distance - grid(0.03 * scale)) * canvas.cover(-field * grid(scale))
    canvas.paint(alpha * chosen[3], draw[:, :3])
    canvas.rgb *= 1 + alpha * chosen[3] * (cap.light - 1)
    rim = -0.3 - 0.3 * draw[:, 5]
    brim = [scene.at(0.75 * s, rim, 0.55) for s in (-1, 1)]
    brim.insert(1, scene.at(0 * rim, rim + 0.08, 1.2))
    for start, end in ((brim[0], brim[1]), (brim[1], brim[2])):
        shape = canvas.cover(canvas.capsule(start, end, 0.1 * scale, 0.1 * scale))
        canvas.paint(shape * chosen[3], draw[:, :3] * 0.7)
