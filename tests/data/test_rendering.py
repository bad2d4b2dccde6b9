"""The generated faces: pure in their key, exact in their points, varied in their looks."""

import numpy as np
import pytest

from lmkit.data.rendering import render_faces
from lmkit.data.rendering.scene import (
    OCCLUSIONS,
    POINT_NAMES,
    identity_parameters,
    image_parameters,
)

SUBJECTS = [i // 2 for i in range(320)]
IMAGES = [i % 2 for i in range(320)]
SEED = 5
SIZE = 64


@pytest.fixture(scope="module")
def faces():
    return render_faces(SUBJECTS, IMAGES, seed=SEED, size=SIZE)


def _clear_view(subjects, images, seed):
    """Which faces look towards the viewer with open eyes and nothing in front of them."""
    who = identity_parameters(subjects, seed=seed)
    shot = image_parameters(subjects, images, seed=seed)
    return (
        (np.abs(shot["yaw"]) < 20)
        & (np.abs(shot["pitch"]) < 14)
        & (shot["occlusion"] >= len(OCCLUSIONS))
        & (shot["eye_open"] > 0.6)
        & (shot["scale"] > 0.9)
        & (who["glasses"] > 0.2)
    )


def _brightness(images, places):
    """Brightness of image i at places[i] (..., 2), interpolated between pixel centres."""
    grey = images.mean(axis=-1)
    low = np.floor(places).astype(int)
    x, y = np.moveaxis(places - low, -1, 0)
    column, row = np.moveaxis(low, -1, 0)
    face = np.arange(len(images)).reshape(-1, *[1] * (places.ndim - 2))
    upper = grey[face, row, column] * (1 - x) + grey[face, row, column + 1] * x
    lower = grey[face, row + 1, column] * (1 - x) + grey[face, row + 1, column + 1] * x
    return upper * (1 - y) + lower * y


def _axes(points):
    """Steps right and down on the face, both one inter-ocular distance long."""
    right = points[:, 1] - points[:, 0]
    return right, np.stack([-right[:, 1], right[:, 0]], axis=-1)


def test_shapes_and_types(faces):
    images, points = faces
    assert images.shape == (320, SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    assert points.shape == (320, len(POINT_NAMES), 2)
    assert points.dtype == np.float32


def test_a_face_depends_on_its_key_alone(faces):
    images, points = faces
    some = [200, 3, 77, 3]
    again, where = render_faces(
        [SUBJECTS[i] for i in some], [IMAGES[i] for i in some], seed=SEED, size=SIZE
    )
    np.testing.assert_array_equal(again, images[some])
    np.testing.assert_array_equal(where, points[some])
    alone, where = render_faces([SUBJECTS[9]], [IMAGES[9]], seed=SEED, size=SIZE)
    np.testing.assert_array_equal(alone[0], images[9])
    np.testing.assert_array_equal(where[0], points[9])


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first, _ = render_faces([0], [0], seed=SEED, size=32)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    second, _ = render_faces([0], [0], seed=SEED, size=32)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("change", [{"seed": 6}, {"subjects": [8]}, {"numbers": [3]}])
def test_every_part_of_the_key_matters(change):
    key = {"subjects": [7], "numbers": [2], "seed": SEED}
    base, points = render_faces(**key, size=32)
    other, moved = render_faces(**(key | change), size=32)
    assert np.abs(base.astype(int) - other).mean() > 5
    assert np.abs(points - moved).max() > 0.1


def test_subject_keeps_its_looks_and_changes_its_pose():
    who = identity_parameters([4, 4, 5], seed=SEED)
    shot = image_parameters([4, 4, 5], [0, 1, 0], seed=SEED)
    assert all(values[0] == values[1] for values in who.values())
    assert all(values[0] != values[2] for values in who.values())
    for name in ("yaw", "pitch", "roll", "scale", "smile", "light_azimuth"):
        assert len(set(shot[name])) == 3


def test_size_changes_sharpness_only(faces):
    images, points = faces
    large, where = render_faces(SUBJECTS[:6], IMAGES[:6], seed=SEED, size=2 * SIZE)
    np.testing.assert_allclose((where + 0.5) / (2 * SIZE), (points[:6] + 0.5) / SIZE, atol=1e-6)
    halved = large.reshape(6, SIZE, 2, SIZE, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - images[:6]).mean() < 6


def test_points_are_inside_the_image():
    # Far more faces than are drawn here: points alone are cheap at a small size.
    _, points = render_faces(range(1500), [0] * 1500, seed=SEED, size=16)
    share = (points + 0.5) / 16
    assert share.min() > 0.05
    assert share.max() < 0.95


def test_left_and_right_are_as_seen_in_the_image(faces):
    _, points = faces
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 3, 0] < points[:, 4, 0]).all()


def test_pupils_are_darkest_at_the_eye_points(faces):
    images, points = faces
    clear = _clear_view(SUBJECTS, IMAGES, SEED)
    assert clear.sum() > 25
    images, points = images[clear], points[clear].astype(float)
    right, down = _axes(points)
    steps = np.linspace(-0.16, 0.16, 17)
    for eye in (0, 1):
        grid = points[:, None, None, eye] + (
            steps[None, :, None, None] * down[:, None, None]
            + steps[None, None, :, None] * right[:, None, None]
        )
        mean = _brightness(images, grid).mean(axis=0)
        row, column = np.unravel_index(mean.argmin(), mean.shape)
        assert abs(steps[row]) <= 0.041
        assert abs(steps[column]) <= 0.041
    # Face by face: the eye white on both sides is brighter than the pupil between.
    for eye in (0, 1):
        pupil = _brightness(images, points[:, None, eye])[:, 0]
        sides = [_brightness(images, (points[:, eye] + s * right)[:, None]) for s in (-0.19, 0.19)]
        assert (np.maximum(*sides)[:, 0] > pupil).mean() > 0.95


def test_mouth_ends_at_the_corner_points(faces):
    images, points = faces
    clear = _clear_view(SUBJECTS, IMAGES, SEED)
    images, points = images[clear], points[clear].astype(float)
    across = points[:, 4] - points[:, 3]
    for corner, outwards in ((3, -across), (4, across)):
        steps = np.linspace(-0.2, 0.2, 9)
        line = points[:, None, corner] + steps[:, None] * outwards[:, None]
        profile = _brightness(images, line).mean(axis=0)
        # Dark up to the corner, skin past it, and the edge between them is at the corner.
        assert profile[4] < 0.85 * profile[7:].mean()
        assert abs(steps[np.diff(profile).argmax()] + 0.025) <= 0.076


def test_nose_tip_is_brighter_than_the_nostrils_below(faces):
    images, points = faces
    clear = _clear_view(SUBJECTS, IMAGES, SEED)
    images, points = images[clear], points[clear].astype(float)
    right, down = _axes(points)
    beside = [
        _brightness(images, (points[:, 2] + sx * right + sy * down)[:, None]).mean()
        for sx, sy in ((-0.14, 0.14), (0.14, 0.14), (-0.2, 0.0), (0.2, 0.0))
    ]
    tip = _brightness(images, points[:, None, 2]).mean()
    assert tip > 1.1 * max(beside)


def test_faces_and_poses_are_varied(faces):
    images, points = faces
    points = points.astype(float)
    apart = np.linalg.norm(points[:, 0] - points[:, 1], axis=-1)
    error = np.linalg.norm(points - points.mean(axis=0), axis=-1) / apart[:, None]
    assert 0.6 < error.mean() < 0.85
    assert images.astype(float).std(axis=0).mean() > 35
    occlusion = image_parameters(range(2000), [0] * 2000, seed=SEED)["occlusion"]
    assert 0.03 < (occlusion < len(OCCLUSIONS)).mean() < 0.08


def test_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="2 subjects but 1 image numbers"):
        render_faces([0, 1], [0], seed=0, size=32)
    with pytest.raises(ValueError, match="at least 16"):
        render_faces([0], [0], seed=0, size=8)


def test_no_faces_are_no_problem():
    images, points = render_faces([], [], seed=0, size=32)
    assert images.shape == (0, 32, 32, 3)
    assert points.shape == (0, 5, 2)
