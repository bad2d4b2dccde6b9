import itertools

import numpy as np
import pytest
from PIL import Image

from lmkit.drawing.points import SHAPE_EVERY, colours, draw_points
from lmkit.drawing.sheets import GAP, caption, enlarge_for_viewing, heading, legend, sheet, stack

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


def test_a_point_outside_of_the_image_draws_nothing():
    assert (draw_points(GREY, np.array([[-30.0, 500.0]])) == 128).all()


def test_the_truth_is_crossed_in_white_beneath():
    truth = np.array([[30.0, 20.0]])
    drawn = draw_points(GREY, np.empty((0, 2)), truth=truth)
    assert tuple(drawn[20, 30]) == (255, 255, 255)
    covered = draw_points(GREY, truth, truth=truth)
    assert tuple(covered[20, 30]) == colours(1)[0]


def test_points_that_are_not_known_are_left_out_and_change_no_colour():
    points = np.array([[10.0, 20.0], [np.nan, np.nan], [50.0, 5.0]])
    drawn = draw_points(GREY, points, truth=np.array([[np.nan, 3.0]]))
    assert tuple(drawn[20, 10]) == colours(3)[0]
    assert tuple(drawn[5, 50]) == colours(3)[2]
    alone = draw_points(GREY, points[[0]])
    assert np.array_equal(drawn[:, :30], alone[:, :30])


def test_links_join_points_to_the_truth_of_their_number():
    points, truth = np.array([[10.0, 10.0], [10.0, 30.0]]), np.array([[50.0, 10.0], [50.0, 30.0]])
    drawn = draw_points(GREY, points, truth=truth, links=True)
    assert tuple(drawn[10, 30]) == tuple(drawn[30, 30]) == (255, 255, 255)
    assert tuple(drawn[20, 30]) == (128, 128, 128)
    truth[1] = np.nan
    assert tuple(draw_points(GREY, points, truth=truth, links=True)[30, 30]) == (128, 128, 128)


def test_landmarks_of_each_ten_share_a_shape():
    def stamp(number):
        points = np.full((60, 2), np.nan)
        points[number] = (30, 20)
        drawn = draw_points(GREY, points, radius=6)
        return (drawn != 128).any(axis=2)

    assert np.array_equal(stamp(0), stamp(SHAPE_EVERY - 1))
    assert not np.array_equal(stamp(0), stamp(SHAPE_EVERY))
    assert np.array_equal(stamp(0), stamp(5 * SHAPE_EVERY))


@pytest.mark.parametrize(("count", "width"), [(1, 100), (10, 1294), (50, 1294), (68, 400)])
def test_a_legend_shows_every_colour_once_and_stays_within_its_width(count, width):
    strip = legend(count, width)
    assert strip.width == width
    pixels = {tuple(pixel) for pixel in np.asarray(strip).reshape(-1, 3)}
    assert set(colours(count)) <= pixels
    assert (np.asarray(strip)[:, -1] == 255).all()
    assert strip.height == legend(1, width).height * -(-count // (width // round(2.8 * 16)))


def test_bands_are_stacked_from_the_top():
    bands = [Image.new("RGB", (30, 5), "red"), Image.new("RGB", (20, 8), "blue")]
    laid = np.asarray(stack(bands))
    assert laid.shape == (5 + GAP + 8, 30, 3)
    assert (laid[:5] == (255, 0, 0)).all()
    assert (laid[5 : 5 + GAP] == 255).all()
    assert (laid[5 + GAP :, :20] == (0, 0, 255)).all()
    assert (laid[5 + GAP :, 20:] == 255).all()


def test_words_are_written_where_they_belong():
    cell = np.full((60, 90, 3), 200, np.uint8)
    changed = np.argwhere((caption(cell, "12.3 %") != 200).any(axis=2))
    assert changed[:, 0].min() > 35
    assert changed[:, 1].min() == 0
    assert changed[:, 1].max() < 70
    assert (cell == 200).all()
    line = np.asarray(heading("largest errors", 300))
    assert line.shape[1] == 300
    dark = np.argwhere(line[..., 0] < 128)
    assert dark[:, 0].min() > 0
    assert dark[:, 0].max() < len(line) - 1


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


def test_small_images_are_enlarged_by_whole_numbers():
    assert [enlarge_for_viewing(size) for size in (16, 32, 64, 128, 500)] == [8, 4, 2, 1, 1]
