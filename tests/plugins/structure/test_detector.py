"""Landmarks and background share every pixel; a landmark is the weighted mean of its share."""

from typing import Any

import pytest
import torch

from lmkit.api import LmkitError, to_pixels
from lmkit_structure.detector import StructureDetector
from lmkit_structure.hourglass import Hourglass


class Always(torch.nn.Module):
    """Answers the same, whatever it is given."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.answer


def small(**options: Any) -> StructureDetector:
    given = {"landmarks": 3, "image_size": 16, "width": 4, "depth": 2}
    return StructureDetector(**(given | options))


def test_landmarks_and_background_share_every_pixel() -> None:
    torch.manual_seed(0)
    detector, images = small(), torch.rand(2, 3, 16, 24)
    shares = detector.score_maps(images).exp()
    assert shares.shape == (2, 3, 16, 24)
    raw = detector.hourglass(images)
    background = raw.softmax(dim=1)[:, -1]
    assert torch.allclose(shares.sum(dim=1) + background, torch.ones(2, 16, 24), atol=1e-5)


def test_a_landmark_is_the_mean_position_weighted_by_its_share() -> None:
    torch.manual_seed(0)
    found = small().eval()(torch.rand(2, 3, 16, 16))
    assert found.score_maps is not None
    shares = found.score_maps.exp()
    line = torch.arange(16.0)
    total = shares.sum(dim=(2, 3))
    x = (shares.sum(dim=2) * line).sum(dim=2) / total
    y = (shares.sum(dim=3) * line).sum(dim=2) / total
    assert torch.allclose(to_pixels(found.points, 16, 16), torch.stack((x, y), dim=2), atol=1e-4)
    assert found.confidence is not None
    assert torch.allclose(found.confidence, shares.flatten(2).amax(dim=2))


def test_a_raw_map_that_wins_at_one_pixel_puts_its_landmark_there() -> None:
    detector = small().eval()
    raw = torch.zeros(1, 4, 16, 16)
    raw[:, -1] = 30.0  # The background owns the image ...
    raw[0, 1, 5, 9] = 60.0  # ... but for one pixel.
    detector.hourglass = torch.nn.Identity()
    with torch.no_grad():
        found = detector(raw)
    assert to_pixels(found.points, 16, 16)[0, 1].tolist() == pytest.approx([9, 5], abs=1e-3)
    assert found.confidence is not None
    assert found.confidence[0].tolist() == pytest.approx([0, 1, 0], abs=1e-5)


def test_a_map_equally_likely_everywhere_puts_its_landmark_in_the_middle() -> None:
    detector = small().eval()
    detector.hourglass = torch.nn.Identity()
    assert detector(torch.zeros(1, 4, 16, 16)).points.abs().max() < 1e-6


def test_sharpness_multiplies_the_raw_maps() -> None:
    raw = torch.randn(1, 4, 16, 16)
    plain, sharp = small(), small(sharpness=3.0)
    plain.hourglass = sharp.hourglass = torch.nn.Identity()
    assert torch.allclose(sharp.score_maps(raw), plain.score_maps(3 * raw))
    assert sharp(raw).confidence.mean() > plain(raw).confidence.mean()


def test_with_a_stride_a_cell_of_the_maps_is_several_pixels() -> None:
    detector = small(stride=2).eval()
    raw = torch.zeros(1, 4, 8, 12)
    raw[:, -1] = 30.0
    raw[0, 1, 5, 9] = 60.0
    detector.hourglass = Always(raw)  # type: ignore[assignment]
    with torch.no_grad():
        found = detector(torch.rand(1, 3, 16, 24))
    assert found.score_maps is not None
    assert found.score_maps.shape == (1, 3, 8, 12)
    # The middle of pixels 18 and 19 across, 10 and 11 down.
    assert to_pixels(found.points, 16, 24)[0, 1].tolist() == pytest.approx([18.5, 10.5], abs=1e-3)


def test_with_a_stride_no_pixel_is_lost() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    small(stride=2, depth=1, skips=1).eval().score_maps(images).square().sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).all()


def test_it_has_the_authors_layers() -> None:
    with torch.device("meta"):
        detector = StructureDetector(landmarks=10, image_size=80)
    convolutions = [m for m in detector.modules() if isinstance(m, torch.nn.Conv2d)]
    # Two down and two up at each of four resolutions, three on each of three skips.
    assert len(convolutions) == 4 * 4 + 3 * 3
    assert convolutions[-1].out_channels == 11
    assert sum(p.numel() for p in detector.parameters()) == pytest.approx(0.68e6, rel=0.005)


def test_an_hourglass_sees_further_the_deeper_it_is() -> None:
    torch.manual_seed(0)
    reach = []
    for levels in ([[4]], [[4], [4]], [[4], [4], [4]]):
        x = torch.rand(1, 2, 32, 32, requires_grad=True)
        Hourglass(2, 1, levels, skips=1).eval()(x)[0, 0, 16, 16].backward()
        assert x.grad is not None
        reach.append(int((x.grad.abs().sum(dim=(0, 1, 2)) > 0).sum()))
    assert reach[0] == 5
    assert reach[0] < reach[1] < reach[2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 0}, r"detector\.width=0"),
        ({"depth": 0}, r"detector\.depth=0"),
        ({"sharpness": 0.0}, r"detector\.sharpness=0\.0"),
        ({"stride": 0}, r"detector\.stride=0"),
        ({"skips": 0}, r"detector\.skips=0"),
        ({"image_size": 18}, r"18 x 18 pixels cannot be halved 2 times"),
        ({"image_size": 20, "stride": 2}, r"cannot be divided by 2 and then halved 2 times"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        small(**options)


def test_images_it_cannot_halve_are_refused_with_the_sizes_that_fit() -> None:
    with pytest.raises(LmkitError, match="20 x 18 pixels") as caught:
        small()(torch.rand(1, 3, 18, 20))
    assert "a multiple of 4" in caught.value.remedy
