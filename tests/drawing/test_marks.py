"""Marks on images: where they lie, what they cover, and how smoothly."""

import numpy as np
import pytest

from lmkit.drawing.points import cross, dot, line, paint

WHITE = (255, 255, 255)


def painted(mark, at=(20.0, 20.0), size=41):
    canvas = np.zeros((size, size, 3), np.uint8)
    paint(canvas, np.asarray(at), mark, WHITE)
    return canvas[..., 0] / 255


@pytest.mark.parametrize("at", [(20.0, 20.0), (19.5, 20.25), (17.3, 22.8)])
def test_a_disc_has_its_area_and_its_centre_to_fractions_of_a_pixel(at):
    share = painted(dot(0, 5.0), at)
    assert share.sum() == pytest.approx(np.pi * 25, rel=0.01)
    ys, xs = np.indices(share.shape)
    centre = np.array([(share * xs).sum(), (share * ys).sum()]) / share.sum()
    assert centre == pytest.approx(at, abs=0.03)


def test_shapes_differ_but_look_as_large():
    shapes = [painted(dot(shape, 6.0)) for shape in range(5)]
    areas = [share.sum() for share in shapes]
    assert max(areas) < 1.3 * min(areas)
    for first in range(5):
        for second in range(first):
            assert np.abs(shapes[first] - shapes[second]).sum() > 0.15 * areas[0]
    assert np.array_equal(painted(dot(5, 6.0)), shapes[0])


@pytest.mark.parametrize("mark", [*(dot(shape, 6.0) for shape in range(5)), cross(6.0, 1.0)])
def test_no_mark_is_cut_off_by_its_own_reach(mark):
    outermost = np.argwhere(painted(mark) > 0)
    assert np.abs(outermost - 20).max() <= mark.reach + 1
    wide = type(mark)(mark.distance, 2 * mark.reach)
    assert np.array_equal(painted(mark), painted(wide))


def test_a_cross_has_two_diagonals_and_nothing_between_them():
    share = painted(cross(8.0, 1.0))
    for sign in (1, -1):
        assert share[20 + 4, 20 + sign * 4] == 1
        assert share[20 - 4, 20 + sign * 4] == 1
    assert share[20, 26] == share[26, 20] == 0


def test_a_line_joins_its_ends():
    share = painted(line(np.array([12.0, -6.0]), 1.0))
    assert share[20, 20] == share[14, 32] == share[17, 26] == 1
    assert share[20, 32] == share[14, 20] == 0
    alone = painted(line(np.zeros(2), 2.0))
    assert alone.sum() == pytest.approx(np.pi * 4, rel=0.05)


def test_marks_at_the_border_are_cut_and_those_outside_paint_nothing():
    whole = painted(dot(0, 5.0)).sum()
    assert painted(dot(0, 5.0), (-0.5, 20.0)).sum() == pytest.approx(whole / 2, rel=0.01)
    for at in ((-9.0, 20.0), (20.0, 60.0), (1e9, 20.0)):
        assert painted(dot(0, 5.0), at).sum() == 0


def test_half_covered_pixels_are_mixed():
    canvas = np.full((9, 9, 3), 100, np.uint8)
    paint(canvas, np.array([4.0, 4.0]), dot(1, 2.2), (200, 0, 100))
    assert tuple(canvas[4, 4]) == (200, 0, 100)
    edge = canvas[4, 2].astype(int)
    assert 100 < edge[0] < 200
    assert 0 < edge[1] < 100
