"""Generated faces with exact landmarks, for training and testing without downloaded images.

`render_faces` draws cartoon-like but face-shaped heads (shaded skin, eyes, brows, nose, lips, ears,
hair, neck, clothes, background) under 3-D head rotation, and returns where the five landmarks were
drawn. Each face is a pure function of (seed, subject, image, size): a subject keeps its looks
across images, while pose, expression, light, background and occlusion change.

Two coordinate systems are used throughout:

* head units: x to the image's right, y down, z towards the viewer, origin at the head's centre, the
  head ellipsoid's half height = 1;
* image units: (x, y) in [0, 1] across the whole image, so that a scene does not depend on the
  size in pixels. Only anti-aliasing, blur taps and pixel noise know the pixel grid.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmkit.data.rendering.features import (
    draw_backdrop,
    draw_body,
    draw_ears,
    draw_eye,
    draw_glasses,
    draw_hair,
    draw_mouth,
    draw_nose,
    draw_occluder,
)
from lmkit.data.rendering.scene import (
    IMAGE,
    POINT_NAMES,
    Canvas,
    Floats,
    Scene,
    Surface,
    grid,
    identity_parameters,
    image_parameters,
)

_CHUNK_PIXELS = 1 << 16  # image elements drawn together: small enough to stay in the cache


def render_faces(
    subjects: Sequence[int], numbers: Sequence[int], *, seed: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws one face for each pair of subject and image number.

    Args:
        subjects: N subject numbers, each >= 0; a subject looks the same in all its images.
        numbers: N image numbers within the subjects, each >= 0.
        seed: Seed >= 0 of the whole collection.
        size: Width and height of the images in pixels, at least 16.

    Returns:
        Images (N, size, size, 3), RGB in 0..255, and points (N, 5, 2) as (x, y) in pixels in the
        order of `POINT_NAMES`, where (0, 0) is the centre of the top-left pixel. A point lies where
        its feature was drawn, whether something covers it or not, and always inside the image.

    Raises:
        ValueError: The sequences differ in length, or size is below 16.
    """
    if len(subjects) != len(numbers):
        raise ValueError(f"{len(subjects)} subjects but {len(numbers)} image numbers")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, not {size}")
    count, step = len(subjects), max(1, _CHUNK_PIXELS // size**2)
    images = np.empty((count, size, size, 3), np.uint8)
    points = np.empty((count, len(POINT_NAMES), 2), np.float32)
    for start in range(0, count, step):
        part = slice(start, start + step)
        who = identity_parameters(subjects[part], seed=seed)
        scene = Scene(who, image_parameters(subjects[part], numbers[part], seed=seed))
        keys = [
            (3, seed, int(s), int(p)) for s, p in zip(subjects[part], numbers[part], strict=True)
        ]
        grain = [np.random.default_rng(np.random.SeedSequence(key)).standard_normal(
            (size, size), np.float32) for key in keys]  # fmt: skip
        images[part] = _develop(_draw_scene(scene, size), scene, np.stack(grain))
        points[part] = scene.points() * size - 0.5
    return images, points


def _draw_scene(scene: Scene, size: int) -> Floats:
    """Paints N faces back to front, to (3, N, size, size)."""
    count, who = len(scene.scale), scene.who
    ticks = ((np.arange(size, dtype=np.float32) + 0.5) / np.float32(size))[None]
    canvas = Canvas(np.zeros((3, count, size, size), np.float32), ticks[:, None, :],
                     ticks[:, :, None], 1 / size)  # fmt: skip
    draw_backdrop(canvas, scene)
    draw_body(canvas, scene)
    draw_ears(canvas, scene, in_front=False)
    head = Surface(canvas, scene, scene.axes, scene.centre, who["jaw"])
    skull = scene.at(0, -0.06, -0.06)
    cap = Surface(canvas, scene, scene.axes * (1 + who["hair_volume"][:, None]), skull, 0.0)
    face = canvas.cover(head.distance)
    canvas.paint(face, scene.skin)
    bearded = (who["beard"] < 0.35) & (scene.long == 0)
    density = np.where(bearded, 0.2 + 2 * who["beard"], 0)
    aside = np.abs(head.ball[0])  # the beard's edge falls from the nose to the mouth, then rises
    chin = head.ball[1] - (0.36 + aside * (0.55 - 0.9 * aside))
    beard = face * canvas.cover(-chin * grid(scene.scale), 0.025) * grid(density)
    canvas.paint(beard, 0.8 * scene.hair)
    for side in (-1, 1):
        cheek = scene.on_head(side * 0.4 * np.ones(count), 0.25 * np.ones(count), 1.0)
        with canvas.window(scene.project(cheek), 0.12) as part:
            soft = part.disc(scene.project(cheek), scene.frame(cheek, 0.0, 0.18, 0.15), 0.09)
            part.paint(soft * 0.22, scene.skin * (1.05, 0.62, 0.6))
    for side in (-1, 1):
        draw_eye(canvas, scene, side)
    draw_nose(canvas, scene)
    draw_mouth(canvas, scene)
    draw_ears(canvas, scene, in_front=True)
    hair = draw_hair(canvas, scene, cap)
    light = 1 + face * (head.light - 1)
    canvas.rgb *= light + hair * (cap.light - light)
    draw_glasses(canvas, scene)
    draw_occluder(canvas, scene, cap)
    return canvas.rgb


def _develop(rgb: Floats, scene: Scene, noise: Floats) -> NDArray[np.uint8]:
    """Exposure, colour of the light, blur and noise; to (N, size, size, 3) bytes."""
    shot, size = scene.shot, rgb.shape[-1]
    warmth = 1 + np.array([[0.12], [0.0], [-0.12]]) * shot["warmth"]
    rgb = rgb * grid(warmth * shot["exposure"])
    reach = int(np.ceil(2 * IMAGE["blur"][1] * size))
    steps = np.arange(-reach, reach + 1)[:, None] / size
    taps = np.exp(-0.5 * (steps / (shot["blur"] + 1e-4)) ** 2)
    taps = grid(taps / taps.sum(axis=0))
    for axis in (2, 3):
        margin = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded = np.moveaxis(np.pad(rgb, margin, mode="edge"), axis, 0)
        rgb = np.zeros_like(rgb)
        for k, tap in enumerate(taps):
            rgb += tap * np.moveaxis(padded[k : k + size], 0, axis)
    rgb = rgb + noise * grid(shot["noise"])
    return np.moveaxis(np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8), 0, -1)
