import itertools

import numpy as np
import pytest

from lmkit.drawing import GAP, colours, draw_points, enlarge_for_viewing, sheet

GREY = np.full((40, 60, 3), 128, np.uint8)


def test_colours_are_distinct_and_do_not_depend_on_how_many_there_are():
    assert len(set(colours(100))) == 100
    assert colours(100)[:10] == colours(10)
    assert colours(0) == []


def test_neighbouring_colours_differ_most():
    chosen = np.array(colours(50), dtype=float)
    apart = [np.abs(a - b).max() for a, b in itertools.pairwise(chosen)]
    assert min(apart) > 100


def test_a_dot_lies_where_its_point_is_in_its_colour():
    points = np.array([[10, 20], [50, 5]])
    drawn = draw_points(GREY, points)
    first, second = colours(2)
    assert tuple(drawn[20, 10]) == first
    assert tuple(drawn[5, 50]) == second
    changed = np.argwhere((drawn != 128).any(axis=2))
    for y, x in changed:
        assert min(np.hypot(x - 10, y - 20), np.hypot(x - 50, y - 5)) < 4
    assert (GREY == 128).all()


@pytest.mark.parametrize("scale", [2, 5])
def test_an_enlarged_dot_is_centred_on_the_enlarged_pixel(scale):
    drawn = draw_points(GREY, np.array([[10.0, 20.0]]), scale=scale)
    assert drawn.shape == (40 * scale, 60 * scale, 3)
    ys, xs = np.nonzero((drawn != 128).any(axis=2))
    middle = (np.array([xs.mean(), ys.mean()]) + 0.5) / scale - 0.5
    assert np.allclose(middle, [10, 20], atol=0.5 / scale + 1e-9)


def test_a_point_outside_of_the_picture_draws_nothing():
    assert (draw_points(GREY, np.array([[-30.0, 500.0]])) == 128).all()


def test_the_truth_is_crossed_in_white_beneath():
    truth = np.array([[30.0, 20.0]])
    drawn = draw_points(GREY, np.empty((0, 2)), truth=truth)
    assert tuple(drawn[20, 30]) == (255, 255, 255)
    covered = draw_points(GREY, truth, truth=truth)
    assert tuple(covered[20, 30]) == colours(1)[0]


def test_a_sheet_is_filled_row_by_row():
    cells = [np.full((5, 7, 3), shade, np.uint8) for shade in (10, 20, 30, 40, 50)]
    laid = np.asarray(sheet(cells, 3))
    assert laid.shape == (2 * 5 + GAP, 3 * 7 + 2 * GAP, 3)
    for number, cell in enumerate(cells):
        row, column = divmod(number, 3)
        top, left = row * (5 + GAP), column * (7 + GAP)
        assert (laid[top : top + 5, left : left + 7] == cell).all()
    assert (laid[5 : 5 + GAP] == 255).all()
    assert (laid[5 + GAP :, -7:] == 255).all()


def test_small_pictures_are_enlarged_by_whole_numbers():
    assert [enlarge_for_viewing(size) for size in (16, 32, 64, 128, 500)] == [8, 4, 2, 1, 1]
