"""What is painted around and over a face: background, body, hair, glasses, and what covers it."""

import numpy as np

from lmkit.data.rendering.canvas import Canvas, Floats, grid
from lmkit.data.rendering.parameters import OCCLUSIONS
from lmkit.data.rendering.scene import DEPTH, Scene, Surface, light_gain, ramp


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
