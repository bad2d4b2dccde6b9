"""Crops by policy: boxes in closed form, and points that travel exactly through every one."""

from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from lmkit.data.crops import (
    AnnotatedBox,
    Box,
    Centre,
    Crop,
    CropName,
    Dve2019,
    Jakab2018,
    Sanchez2019,
    make_crop,
)
from lmkit.data.framing import Fit, Framer, Framing, frame
from lmkit.data.loading import TrainingBatches, read_images
from lmkit.data.unreadable import Unreadable
from lmkit.interfaces.dataset import Annotation, Dataset
from lmkit.settings.sections import LoadingSettings

FITS: tuple[Fit, ...] = get_args(Fit)
FACE = np.array([[60, 100], [110, 102], [85, 130], [66, 150], [108, 152]], np.float32)
CROPS: tuple[Crop, ...] = (
    Centre(0.7),
    Centre(1.0),
    AnnotatedBox(0.0),
    AnnotatedBox(0.4),
    AnnotatedBox(1.5),
    Sanchez2019(),
    Jakab2018(),
    Dve2019(),
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_settings_and_policies_agree() -> None:
    names = get_args(CropName)
    assert get_args(get_type_hints(LoadingSettings)["crop"]) == names
    made = {name: make_crop(name, share=0.5, margin=0.1) for name in names if name != "none"}
    assert {name: crop.name for name, crop in made.items()} == {name: name for name in made}
    leaking = {name for name, crop in made.items() if crop.from_annotation}
    assert leaking == {"annotated-box", "sanchez2019"}
    assert str(made["centre"]) == "centre (share 0.5)"
    assert str(made["annotated-box"]) == "annotated-box (margin 0.1)"


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_points_travel_there_and_back(crop: Crop, fit: Fit) -> None:
    square, framing = Framer(48, fit, crop)(noise(218, 178), Annotation(FACE))
    assert square.shape == (48, 48, 3)
    pixels = np.random.default_rng(1).uniform(-50, 300, (20, 2))
    there = framing.to_normalised(pixels)
    np.testing.assert_allclose(framing.to_pixels(there), pixels, rtol=0, atol=1e-9)


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_the_corners_of_the_box_are_those_of_the_square(crop: Crop) -> None:
    box = crop.box(178, 218, FACE)
    framing = Framer(48, "stretch", crop)(noise(218, 178), Annotation(FACE))[1]
    corners = [(box.left, box.top), (box.left + box.width, box.top + box.height)]
    ends = framing.to_normalised(np.array(corners) - 0.5)
    np.testing.assert_allclose(ends, [(-1, -1), (1, 1)], atol=1e-12)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_a_dot_lies_where_the_framing_says(crop: Crop, fit: Fit) -> None:
    image = np.zeros((218, 178, 3), np.uint8)
    image[112:119, 80:87] = 255
    square, framing = Framer(96, fit, crop)(image, Annotation(FACE))
    weights = square[..., 0].astype(float)
    down, across = np.mgrid[:96, :96]
    centre = np.array([(weights * across).sum(), (weights * down).sum()]) / weights.sum()
    expected = ((framing.to_normalised((83, 115)) + 1) * 96 - 1) / 2
    np.testing.assert_allclose(centre, expected, atol=0.1)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), [(50, 33), (33, 50), (32, 32), (1, 1), (7, 200)])
def test_a_crop_to_the_whole_image_changes_nothing(fit: Fit, width: int, height: int) -> None:
    image = noise(height, width)
    whole, framing = frame(image, 32, fit)
    cropped, same = frame(image, 32, fit, Box(0, 0, width, height))
    np.testing.assert_array_equal(cropped, whole)
    assert same == framing


def test_the_whole_centre_is_the_central_square() -> None:
    image = noise(50, 81)
    for size in (50, 32):
        plain, framing = Framer(size)(image)
        cropped, same = Framer(size, crop=Centre(1.0))(image)
        np.testing.assert_array_equal(cropped, plain)
        assert same == framing


def test_cutting_without_resampling_is_exact() -> None:
    image = noise(60, 90)
    square, _ = Framer(30, crop=Centre(0.5))(image)
    np.testing.assert_array_equal(square, image[15:45, 30:60])
    points = np.array([[20, 10], [39, 21]])
    square, framing = Framer(20, crop=AnnotatedBox(0))(image, Annotation(points))
    assert AnnotatedBox(0).box(90, 60, points) == (20, 6, 19, 19)
    square, framing = Framer(19, crop=AnnotatedBox(0))(image, Annotation(points))
    np.testing.assert_array_equal(square, image[6:25, 20:39])
    assert framing.to_normalised((20, 6)) == pytest.approx(1 / 19 - 1)


def test_edges_are_repeated_beyond_the_borders() -> None:
    image = noise(20, 30)
    points = np.array([[0, 0], [9, 10]])
    assert AnnotatedBox(0.5).box(30, 20, points) == (-5, -4, 20, 20)
    square, framing = Framer(20, crop=AnnotatedBox(0.5))(image, Annotation(points))
    np.testing.assert_array_equal(square[4:, 5:], image[:16, :15])
    assert (square[:4, 5:] == image[0, :15]).all()
    assert (square[4:, :5] == image[:16, :1]).all()
    np.testing.assert_allclose(framing.to_normalised((-5, -4)), 1 / 20 - 1)


def test_the_centre_is_a_share_of_the_shorter_side() -> None:
    assert Centre(0.8).box(178, 218, None) == (18, 38, 142, 142)
    assert Centre(0.001).box(5, 9, None) == (2, 4, 1, 1)


def test_the_box_goes_by_the_points_that_are_known() -> None:
    unknown = np.array([[10, 20], [np.nan, 7], [30, 24], [np.nan, np.nan]])
    known = unknown[[0, 2]]
    assert AnnotatedBox(0.25).box(50, 50, unknown) == AnnotatedBox(0.25).box(50, 50, known)
    assert AnnotatedBox(0.25).box(50, 50, known).width == 30


@pytest.mark.parametrize(
    "points",
    [None, np.full((5, 2), np.nan), np.full((3, 2), 7.0), np.empty((0, 2)), np.ones((1, 2))],
    ids=["none", "unknown", "coinciding", "empty", "single"],
)
@pytest.mark.parametrize("crop", [AnnotatedBox(0.5), Sanchez2019()], ids=str)
def test_without_a_box_there_is_no_crop(crop: Crop, points: Any) -> None:
    assert not crop.accepts(points)
    assert Centre(0.5).accepts(points)
    with pytest.raises(OSError, match="no annotated points to be cropped by"):
        crop.box(50, 50, points)


@pytest.mark.parametrize("crop", [AnnotatedBox(0.1), Sanchez2019()], ids=str)
@pytest.mark.parametrize("shift", [(1000, 0), (-1000, 0), (0, 1000), (0, -1000)])
def test_points_far_outside_are_no_place_to_crop(crop: Crop, shift: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="points lie"):
        crop.box(178, 218, FACE + shift)


def test_a_box_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(OSError, match="far outside"):
        AnnotatedBox(0.5).box(100, 100, np.array([[0, 0], [1e6, 50]]))


def test_sanchez2019_by_hand() -> None:
    # Extents 50 and 52, mean 51: 70 % is 35.7, so 35 pixels beyond the rounded bounds.
    assert Sanchez2019().box(178, 218, FACE) == (25, 65, 145 - 25, 187 - 65)
    # At the borders it ends at 0, and before the last pixel.
    assert Sanchez2019().box(120, 160, FACE) == (25, 65, 119 - 25, 159 - 65)
    assert Sanchez2019().box(178, 218, FACE - (50, 90))[:2] == (0, 0)
    # Below 20 pixels the margin is 8; halves are rounded to the even number.
    small = np.array([[30.5, 40.5], [45.5, 52.4]])
    assert Sanchez2019().box(100, 100, small) == (22, 32, 54 - 22, 60 - 32)


def test_jakab2018_is_theirs_at_their_size() -> None:
    assert Jakab2018().box(178, 218, None) == pytest.approx((17.8, 21.8, 142.4, 174.4))
    image = noise(218, 178)
    square, _ = Framer(128, "stretch", Jakab2018())(image)
    resized = Image.fromarray(image).resize((160, 160), Image.Resampling.BILINEAR)
    theirs = np.asarray(resized)[16:144, 16:144]
    assert np.abs(square.astype(int) - theirs).max() <= 1


def test_dve2019_is_theirs_at_their_size() -> None:
    box = Dve2019().box(178, 218, None)
    assert box == pytest.approx((26.176, 56.176, 125.647, 125.647), abs=1e-3)
    image = noise(218, 178)
    square, _ = Framer(96, crop=Dve2019())(image)
    window = Image.fromarray(image[30:208]).resize((136, 136), Image.Resampling.BILINEAR)
    theirs = np.asarray(window)[20:116, 20:116]
    assert np.abs(square.astype(int) - theirs).max() <= 1


def test_dve2019_takes_celeba_alone_at_any_size() -> None:
    twice = Dve2019().box(356, 436, None)
    assert twice == pytest.approx([2 * number for number in Dve2019().box(178, 218, None)])
    with pytest.raises(OSError, match=r"250x250 pixels.*178x218"):
        Dve2019().box(250, 250, None)


class Annotated(Dataset):
    """Images of noise, every third without points."""

    point_names = ("a", "b")

    def __len__(self) -> int:
        return 9

    def key(self, index: int) -> str:
        return f"{index}"

    def image(self, index: int) -> Any:
        return noise(40, 50, index)

    def annotation(self, index: int) -> Annotation:
        points = np.array([[10, 10 + index], [30, 20]], np.float32)
        return Annotation(None if index % 3 == 2 else points)


def test_what_cannot_be_cropped_counts_as_unreadable() -> None:
    framer = Framer(16, crop=AnnotatedBox(0.2))
    unreadable = Unreadable(1.0)
    data = Annotated()
    (batch,) = read_images(
        data, range(9), framer=framer, batch_size=9, workers=0, unreadable=unreadable
    )
    assert batch.indices == [0, 1, 3, 4, 6, 7]
    assert [entry["image"] for entry in unreadable.report()] == ["2", "5", "8"]
    for index, image, framing in zip(batch.indices, batch.images, batch.framings, strict=True):
        own, same = framer(data.image(index), data.annotation(index))
        np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), own)
        assert same == framing
    training = TrainingBatches(
        data, range(9), framer=framer, batch_size=4, seed=0, start=0, stop=4, workers=2,
        annotated=True,
    )  # fmt: skip
    for step in training:
        for index, points in zip(step.indices, step.points, strict=True):
            known = data.annotation(index).points
            inside = Framing.of(50, 40, 16, "crop", framer.crop.box(50, 40, known))
            np.testing.assert_allclose(points, inside.to_normalised(known), rtol=1e-6)
    assert all(set(batch.indices) <= {0, 1, 3, 4, 6, 7} for batch in training)
    assert set().union(*(batch.unreadable for batch in training)) == {2, 5, 8}


def test_plain_images_are_whole_where_the_crop_needs_annotation() -> None:
    assert Framer(16, "pad", AnnotatedBox(0.2)).without_annotation() == Framer(16, "pad")
    kept = Framer(16, "pad", Centre(0.2))
    assert kept.without_annotation() is kept
